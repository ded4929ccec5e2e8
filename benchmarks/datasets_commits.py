"""Durable small commits (100 rows): one writer, and four processes, against the machine's own rate
of append + fsync and against table formats that sync nothing.

Ours with and without syncs, on a bare store and in a repository (where each commit is also in the
ledger), as JSON Lines and as Parquet. After each round all that was acknowledged is looked up, and
the history walked: one line, nothing lost. Then the time of a commit at 100,000 snapshots beside
that at 100, in turn.

python benchmarks/datasets_commits.py [--commits 200] [--snapshots 100000] [--only rates|growth]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from datasets_peers import PEERS as PEER_KINDS
from datasets_peers import columns
from measure import PEERS, ROUNDS, interleave, median, save, settle, workspace

from holdfast.store.calls import OsCalls

WRITERS = 4
DATASET = "bench"
HERE = Path(__file__).parent
PEER_PYTHON = PEERS / "bin" / "python"

OURS: dict[str, dict[str, Any]] = {
    "holdfast": {},
    "holdfast, parquet": {"parquet": True},
    "holdfast, append": {"append": True},
    "holdfast, in a repository": {"ledger": True},
    "holdfast, no sync": {"sync": False},
    "holdfast, parquet, no sync": {"parquet": True, "sync": False},
    "holdfast, in a repository, no sync": {"ledger": True, "sync": False},
}


class Unsynced(OsCalls):
    """System calls that leave it to the system when bytes reach the disk."""

    def fsync(self, fd: int) -> None:  # type: ignore[override]
        pass

    def sync_file_system(self, fd: int) -> bool:
        return True

    def can_sync_file_system(self, fd: int) -> bool:
        return True


@contextmanager
def opened(folder: str, options: dict[str, Any], *, make: bool = False) -> Iterator[Any]:
    """The dataset below `folder`; in a repository with `ledger`."""
    import holdfast
    from holdfast.datasets.dataset import Dataset

    store = holdfast.FileSystemStore(
        folder, calls=None if options.get("sync", True) else Unsynced()
    )
    if options.get("ledger"):
        repo = (holdfast.init if make else holdfast.open)(store)
        try:
            yield Dataset(DATASET, store, sink=repo.ledger, author=repo.author)
        finally:
            repo.close()
    else:
        try:
            yield Dataset(DATASET, store)
        finally:
            store.close()


def rows(number: int, options: dict[str, Any]) -> Any:
    """What one commit writes: records, or a table."""
    data = columns(number)
    if options.get("parquet"):
        import pyarrow as pa

        return pa.table(data)
    return [dict(zip(data, values, strict=True)) for values in zip(*data.values(), strict=True)]


def worker(folder: str, options: dict[str, Any], count: int, writer: int) -> None:
    """One of our writers: see `datasets_peers.py` for what it prints."""
    data = [rows(1 + writer * count + n, options) for n in range(count)]
    with opened(f"{folder}-warm{writer}", options, make=True) as warm:
        warm.write(data[0])
        warm.write(data[0])
    with opened(folder, options) as dataset:
        put = dataset.append if options.get("append") else dataset.write
        print("ready", flush=True)
        sys.stdin.readline()
        start = time.perf_counter()
        ids = [put(item).id for item in data]
        print(json.dumps({"seconds": time.perf_counter() - start, "ids": ids}), flush=True)


def race(commands: list[list[str]]) -> tuple[float, list[dict[str, Any]]]:
    """Seconds from the start shot until the last writer is done, and what each of them says."""
    running, said = [], []
    with tempfile.TemporaryFile() as errors:
        for command in commands:
            running.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                )
            )
        try:
            if any(_line(process) != "ready" for process in running):
                raise RuntimeError(_failure(running, errors))
            settle()
            start = time.perf_counter()
            for process in running:
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
            lines = [_line(process) for process in running]
            seconds = time.perf_counter() - start
            if not all(lines):
                raise RuntimeError(_failure(running, errors))
            said = [json.loads(line) for line in lines]
        finally:
            for process in running:
                if process.returncode is None:
                    process.communicate()
    return seconds, said


def _line(process: subprocess.Popen[str]) -> str:
    """The next line of the worker's own; libraries print warnings between them."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(("ready", "{")):
            return line.strip()
    return ""


def _failure(running: list[subprocess.Popen[str]], errors: IO[bytes]) -> str:
    for process in running:
        process.communicate()
    errors.seek(0)
    said = errors.read().decode(errors="replace")[-3000:]
    return f"{running[0].args}: exit codes {[p.returncode for p in running]}\n{said}"


def check(folder: str, options: dict[str, Any], acknowledged: list[str], begun: str) -> None:
    """Nothing lost, and one line of parents. Raises `RuntimeError`."""
    with opened(folder, options) as dataset:
        line = [s.id for s in dataset.history()]
        if line[-1] != begun or set(line[:-1]) != set(acknowledged):
            raise RuntimeError(f"{len(line) - 1} in the history, {len(acknowledged)} acknowledged")
        if len(set(acknowledged)) != len(acknowledged) or list(dataset.chain.ids()) != line[::-1]:
            raise RuntimeError("the history is no line")


def append_fsync(path: Path, count: int) -> float:
    """Seconds of `count` times append of 200 B and fsync."""
    block = os.urandom(200)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        settle()
        start = time.perf_counter()
        for _ in range(count):
            os.write(fd, block)
            os.fsync(fd)
        return time.perf_counter() - start
    finally:
        os.close(fd)


def ours(work: Path, name: str, writers: int, commits: int) -> Callable[[int], float]:
    options = OURS[name]

    def run(number: int) -> float:
        folder = str(work / f"{name.replace(', ', '-').replace(' ', '-')}-{writers}-{number}")
        with opened(folder, options, make=True) as dataset:
            begun = dataset.write(rows(0, options)).id
        each = commits // writers
        command = [sys.executable, __file__, "--worker", folder, json.dumps(options), str(each)]
        seconds, said = race([[*command, str(w)] for w in range(writers)])
        check(folder, options, [id for one in said for id in one["ids"]], begun)
        return seconds

    return run


def theirs(
    work: Path, name: str, writers: int, commits: int, lost: dict[str, list[int]]
) -> Callable[[int], float]:
    script = [str(PEER_PYTHON), "-W", "ignore", str(HERE / "datasets_peers.py"), name]

    def run(number: int) -> float:
        folder = str(work / f"{name}-{writers}-{number}")
        subprocess.run([*script, "make", folder], check=True, capture_output=True)
        each = commits // writers
        seconds, said = race([[*script, "work", folder, str(each), str(w)] for w in range(writers)])
        done = subprocess.run(
            [*script, "check", folder], check=True, capture_output=True, text=True
        )
        missing = len(said) * each + 1 - int(done.stdout.split()[-1])
        lost.setdefault(f"{name}, {writers} writers", []).append(missing)
        return seconds

    return run


def rates(work: Path, commits: int) -> dict[str, Any]:
    """One writer and four, all contenders in turn."""
    commits -= commits % WRITERS
    contenders: dict[str, Callable[[int], float]] = {
        "append 200 B + fsync": lambda n: append_fsync(work / f"plain{n}", commits)
    }
    for name in OURS:
        for writers in (1, WRITERS):
            contenders[f"{name}, {writers} writers"] = ours(work, name, writers, commits)
    lost: dict[str, list[int]] = {}
    versions = {}
    if PEER_PYTHON.exists():
        for name in PEER_KINDS:
            versions[name] = json.loads(
                subprocess.run(
                    [str(PEER_PYTHON), str(HERE / "datasets_peers.py"), name, "version", ""],
                    check=True, capture_output=True, text=True,
                ).stdout
            )  # fmt: skip
            for writers in (1, WRITERS):
                run = theirs(work, name, writers, commits, lost)
                contenders[f"{name}, {writers} writers"] = run
    raw = interleave(contenders)
    per_second = {name: round(commits / median(seconds), 1) for name, seconds in raw.items()}
    machine = per_second["append 200 B + fsync"]
    facts: dict[str, Any] = {
        "rows": 100,
        "commits": commits,
        "peers": versions,
        "seconds": {name: [round(s, 4) for s in seconds] for name, seconds in raw.items()},
        "per_second": per_second,
        "part_of_append_fsync": {
            name: round(rate / machine, 4)
            for name, rate in per_second.items()
            if name.startswith("holdfast") and "no sync" not in name
        },
        "lost_by_peers": lost,
    }
    for writers in (1, WRITERS) if versions else ():
        best = max(per_second[f"{name}, {writers} writers"] for name in versions)
        facts[f"no_sync_against_the_best_peer_{writers}_writers"] = {
            name: round(per_second[f"{name}, {writers} writers"] / best, 2)
            for name in OURS
            if "no sync" in name
        }
    return facts


def growth(work: Path, snapshots: int, ledger: bool) -> dict[str, Any]:
    """The time of a durable commit on top of 100 snapshots and of `snapshots`, in turn."""
    options = {"ledger": ledger}
    data = rows(1, options)
    sizes = {"few": min(100, snapshots), "many": snapshots}
    times: dict[str, list[float]] = {"few": [], "many": []}
    first: dict[str, list[float]] = {"few": [], "many": []}
    for name, size in sizes.items():
        start = time.perf_counter()
        folder = str(work / f"{name}{ledger}")
        with opened(folder, options | {"sync": False}, make=True) as dataset:
            for _ in range(size):
                dataset.write(data)
        print(f"  {size} snapshots in {time.perf_counter() - start:.0f} s", flush=True)
    for _ in range(max(ROUNDS, 5)):
        # A handle of each at once, commit by commit in turn: what the disk does hits both alike.
        with (
            opened(str(work / f"few{ledger}"), options) as few,
            opened(str(work / f"many{ledger}"), options) as many,
        ):
            settle()
            for turn in range(21):
                for name, dataset in (("few", few), ("many", many)):
                    start = time.perf_counter()
                    dataset.write(data)
                    seconds = time.perf_counter() - start
                    (times if turn else first)[name].append(seconds)
    return {
        "snapshots": sizes,
        "commit_ms": {n: round(1000 * median(t), 3) for n, t in times.items()},
        "ratio": round(median(times["many"]) / median(times["few"]), 3),
        "first_commit_of_a_handle_ms": {n: round(1000 * median(t), 3) for n, t in first.items()},
        "first_commit_ratio": round(median(first["many"]) / median(first["few"]), 3),
        "ms": {n: [round(1000 * s, 2) for s in t] for n, t in times.items()},
    }


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--commits", type=int, default=200, help="in total, each round")
    arguments.add_argument("--snapshots", type=int, default=100_000)
    arguments.add_argument("--only", choices=("rates", "growth"))
    arguments.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.worker:
        folder, options, count, writer = chosen.worker
        worker(folder, json.loads(options), int(count), int(writer))
        return
    facts: dict[str, Any] = {}
    with workspace("datasets_commits") as work:
        if chosen.only != "growth":
            facts |= rates(work, chosen.commits)
        if chosen.only != "rates":
            facts["growth"] = growth(work, chosen.snapshots, ledger=False)
            facts["growth_in_a_repository"] = growth(work, chosen.snapshots, ledger=True)
    save(
        "datasets_commits" if chosen.only is None else f"datasets_commits_{chosen.only}",
        **facts,
        target="one writer and four each >= 1/15 of append + fsync, none lost; without syncs "
        ">= 3 x the best peer; a commit at 100,000 snapshots < 1.3 x that at 100",
    )


if __name__ == "__main__":
    main()
