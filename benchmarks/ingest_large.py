"""Ingest of one 1 GiB file against read + sha256 + write + fsync of the same file; memory."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from measure import interleave, median, save, settle, timed, workspace

SIZE = int(os.environ.get("HOLDFAST_BENCH_LARGE", str(2**30)))
CHILD = """
import json, sys, time
import holdfast
import holdfast.ingest, holdfast.runs, holdfast.ledger.ledger
repo = holdfast.init(sys.argv[1])
repo.runs
def memory(field):
    # VmHWM and VmRSS belong to this program; getrusage would report the parent's peak too.
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(field))
before = memory("VmRSS")
open("/proc/self/clear_refs", "w").write("5")
start = time.perf_counter()
repo.ingest(sys.argv[2], project="bench")
seconds = time.perf_counter() - start
after = memory("VmHWM")
print(json.dumps([seconds, (after - before) / 1024]))
"""


def baseline(source: Path, target: Path) -> None:
    """The same bytes through one loop whose every step runs in C, then fsync."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(1 << 20))
    fd_in = os.open(source, os.O_RDONLY)
    fd_out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    while count := os.readv(fd_in, [buffer]):
        digest.update(buffer[:count])
        os.write(fd_out, buffer[:count])
    os.fsync(fd_out)
    os.close(fd_in)
    os.close(fd_out)


def main() -> None:
    memory: list[float] = []
    with workspace("ingest_large") as work:
        source = work / "large.bin"
        with source.open("wb") as out:
            block = os.urandom(1 << 24)
            for _ in range(SIZE >> 24):
                out.write(block)

        def plain(number: int) -> float:
            target = work / "plain.bin"
            seconds = timed(lambda: baseline(source, target))
            target.unlink()
            return seconds

        def ours(number: int) -> float:
            repo = work / f"repo{number}"
            settle()
            done = subprocess.run(
                [sys.executable, "-c", CHILD, str(repo), str(source)],
                capture_output=True,
                text=True,
                check=True,
            )
            seconds, mebibytes = json.loads(done.stdout)
            memory.append(mebibytes)
            subprocess.run(["rm", "-rf", str(repo)], check=True)
            return float(seconds)

        raw = interleave({"plain": plain, "holdfast": ours})
    save(
        "ingest_large",
        bytes=SIZE,
        seconds=raw,
        ratio=round(median([p / o for p, o in zip(raw["plain"], raw["holdfast"], strict=True)]), 3),
        memory_above_start_mib=[round(m, 1) for m in memory],
        target="ratio >= 0.8, memory <= 100 MiB above start",
    )


if __name__ == "__main__":
    main()
