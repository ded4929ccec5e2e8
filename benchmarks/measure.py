"""What every comparison here shares: the machine's description, medians, the result file."""

from __future__ import annotations

import gc
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
WORK = Path(os.environ.get("HOLDFAST_BENCH_WORK", HERE.parent / ".bench-work"))
PEERS = HERE.parent / ".bench-env"
ROUNDS = int(os.environ.get("HOLDFAST_BENCH_ROUNDS", "5"))


def machine() -> dict[str, Any]:
    """The hardware and versions that figures belong to."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    file_system = subprocess.run(
        ["df", "--output=fstype", str(HERE)], capture_output=True, text=True, check=False
    ).stdout.split()[-1]
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "file_system": file_system,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


@contextmanager
def workspace(name: str) -> Iterator[Path]:
    """An empty folder on the disk under test, removed at the end."""
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settle() -> None:
    """Start each measurement with a clean garbage heap and nothing left to write."""
    gc.collect()
    os.sync()


def timed(work: Callable[[], Any]) -> float:
    """Seconds that `work` takes."""
    settle()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def whole_process(command: list[str], **options: Any) -> float:
    """Seconds of a whole process; its output is thrown away. Raises when it fails."""
    settle()
    start = time.perf_counter()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, **options
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{command}: exit {done.returncode}: {done.stderr[-500:]!r}")
    return seconds


def interleave(
    contenders: dict[str, Callable[[int], float]], rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """Each contender once a round, in turn, so that a drift of the machine hits all alike."""
    raw: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, run in contenders.items():
            raw[name].append(run(number))
            print(f"  round {number + 1}/{rounds} {name}: {raw[name][-1]:.3f} s", flush=True)
    return raw


def median(values: list[float]) -> float:
    return statistics.median(values)


def peak_rss() -> int:
    """This process's highest resident memory so far, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def save(name: str, **facts: Any) -> None:
    """Write benchmarks/results/<name>.json and print it."""
    import holdfast

    result = {
        "benchmark": name,
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "holdfast": holdfast.__version__,
        **facts,
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=2)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    print(text)


def peer(program: str) -> str | None:
    """The path of a peer's program: in the peers' environment, else on PATH; None if missing."""
    own = PEERS / "bin" / program
    return str(own) if own.exists() else shutil.which(program)


def version(program: str | None, flag: str = "--version") -> str:
    """The first line that a peer says of its version; "" when it is not there."""
    if program is None:
        return ""
    done = subprocess.run([program, flag], capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).strip().split("\n")[0]


def holdfast_command() -> str:
    return str(Path(sys.executable).parent / "holdfast")
