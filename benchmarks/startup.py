"""Whole-process times of the command line: `--help` and `log -n 10`."""

from __future__ import annotations

import sys

from measure import holdfast_command, interleave, median, save, whole_process, workspace


def main() -> None:
    command = holdfast_command()
    with workspace("startup") as work:
        repo = str(work / "repo")
        source = work / "source"
        source.mkdir()
        whole_process([command, "init", repo])
        for number in range(20):
            (source / "file").write_text(str(number))
            whole_process([command, "-R", repo, "ingest", str(source)])
        raw = interleave(
            {
                "holdfast --help": lambda n: whole_process([command, "--help"]),
                "holdfast log -n 10": lambda n: whole_process(
                    [command, "-R", repo, "log", "-n", "10"]
                ),
                "python -c pass": lambda n: whole_process([sys.executable, "-c", "pass"]),
            },
            rounds=11,
        )
    save(
        "startup",
        milliseconds={k: [round(v * 1000, 1) for v in values] for k, values in raw.items()},
        median_ms={k: round(median(values) * 1000, 1) for k, values in raw.items()},
        target="both < 250 ms",
    )


if __name__ == "__main__":
    main()
