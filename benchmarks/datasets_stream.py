"""A blob streamed into a dataset: memory above the start, and time beside a plain loop.

python benchmarks/datasets_stream.py [--bytes N | --full]     (default 1 GiB; --full: 10 GiB)
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from measure import interleave, median, save, settle, timed, workspace

PIECE = 1 << 20
CHILD = """
import json, os, sys, time
from contextlib import closing
import holdfast
from holdfast.datasets.dataset import Dataset
from holdfast.datasets import streams
folder, size, piece = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
data = os.urandom(piece)
def memory(field):
    # VmHWM and VmRSS belong to this program; getrusage would report the parent's peak too.
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(field))
with closing(holdfast.FileSystemStore(folder)) as store:
    dataset = Dataset("bench", store)
    before = memory("VmRSS")
    open("/proc/self/clear_refs", "w").write("5")
    start = time.perf_counter()
    with dataset.stream_write({"what": "a stream"}) as out:
        for _ in range(size // piece):
            out.write(data)
    seconds = time.perf_counter() - start
    written = memory("VmHWM")
    open("/proc/self/clear_refs", "w").write("5")
    start, count = time.perf_counter(), 0
    for part in dataset.latest().open_object().stream():
        count += len(part)
    read_seconds = time.perf_counter() - start
    assert count == size // piece * piece
    print(json.dumps([seconds, (written - before) / 1024, read_seconds,
                      (memory("VmHWM") - before) / 1024]))
"""


def plain(target: Path, size: int) -> None:
    """The same bytes hashed, written and synced by one loop."""
    data = os.urandom(PIECE)
    digest = hashlib.sha256()
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    for _ in range(size // PIECE):
        digest.update(data)
        os.write(fd, data)
    os.fsync(fd)
    os.close(fd)


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--bytes", type=int, default=2**30)
    arguments.add_argument("--full", action="store_true", help="10 GiB")
    chosen = arguments.parse_args()
    size = 10 * 2**30 if chosen.full else chosen.bytes
    size -= size % PIECE
    said: list[list[float]] = []
    with workspace("datasets_stream") as work:

        def loop(number: int) -> float:
            target = work / "plain.bin"
            seconds = timed(lambda: plain(target, size))
            target.unlink()
            return seconds

        def ours(number: int) -> float:
            folder = work / "ours"
            settle()
            done = subprocess.run(
                [sys.executable, "-c", CHILD, str(folder), str(size), str(PIECE)],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            said.append(json.loads(done.stdout))
            shutil.rmtree(folder)
            return said[-1][0]

        raw = interleave({"sha256, write, fsync": loop, "holdfast": ours})
    save(
        "datasets_stream",
        bytes=size,
        seconds=raw,
        times_plain=round(median(raw["holdfast"]) / median(raw["sha256, write, fsync"]), 3),
        memory_above_start_mib=[round(s[1], 1) for s in said],
        read_seconds=[round(s[2], 3) for s in said],
        read_memory_above_start_mib=[round(s[3], 1) for s in said],
        target="memory < 150 MiB above start, whatever the size",
    )


if __name__ == "__main__":
    main()
