"""The file-system store beside bare system calls, in one run on one folder.

python benchmarks/store.py [FOLDER]
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

from holdfast.leases import FileLeases
from holdfast.store.calls import OsCalls
from holdfast.store.filesystem import FileSystemStore

FILES = 10_000
SIZE = 4096
ROUNDS = 5


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def bare(root: str, data: bytes) -> None:
    """Open, write, close in a loop, then one syncfs."""
    libc = ctypes.CDLL(None, use_errno=True)
    for k in range(20):
        os.makedirs(f"{root}/d{k}")
    for i in range(FILES):
        fd = os.open(f"{root}/d{i % 20}/f{i:05}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        os.write(fd, data)
        os.close(fd)
    fd = os.open(root, os.O_RDONLY)
    if libc.syncfs(fd) != 0:
        raise OSError(ctypes.get_errno(), "syncfs")
    os.close(fd)


def batch(root: str, data: bytes) -> None:
    store = FileSystemStore(root)
    with store.batch() as files:
        for i in range(FILES):
            files.put(f"d{i % 20}/f{i:05}", data)
        files.commit()


def main() -> None:
    folder = sys.argv[1] if len(sys.argv) > 1 else "."
    data = os.urandom(SIZE)
    where = tempfile.mkdtemp(dir=folder)
    try:
        kind = OsCalls().file_system(where)
        print(
            f"{platform.machine()}, {os.cpu_count()} cores, {kind}, "
            f"Python {platform.python_version()}; median of {ROUNDS}"
        )
        rates: dict[str, list[float]] = {"bare": [], "batch": []}
        for i in range(ROUNDS):
            rates["bare"].append(FILES / seconds(lambda i=i: bare(f"{where}/bare{i}", data)))
            rates["batch"].append(FILES / seconds(lambda i=i: batch(f"{where}/batch{i}", data)))
        loop, ours = (statistics.median(rates[name]) for name in ("bare", "batch"))
        print(f"bare loop + syncfs        {loop:10,.0f} files/s of {SIZE} B")
        print(f"batch put + commit        {ours:10,.0f} files/s, {ours / loop:.2f} x bare")
        store = FileSystemStore(f"{where}/single")
        store.put("f/first", b"")
        n = 500
        took = seconds(lambda: [store.put(f"f/{i}", data) for i in range(n)])
        print(f"put                       {n / took:10,.0f} /s")
        took = seconds(lambda: store.put_many((f"m/{i}", data) for i in range(5000)))
        print(f"put_many                  {5000 / took:10,.0f} /s")
        took = seconds(lambda: [store.get(f"m/{i}") for i in range(5000)])
        print(f"get                       {5000 / took:10,.0f} /s")
        everything = FileSystemStore(where)
        took = seconds(lambda: sum(1 for _ in everything.list("batch0")))
        print(f"list                      {FILES / took:10,.0f} /s")
        value = [b"0"]
        store.compare_and_swap("cas", None, value[0])

        def swap() -> None:
            for i in range(n):
                store.compare_and_swap("cas", value[0], b"%d" % i)
                value[0] = b"%d" % i

        print(f"compare_and_swap          {n / seconds(swap):10,.0f} /s")
        leases = FileLeases(f"{where}/locks")
        took = seconds(lambda: [leases.acquire("a").close() for _ in range(10_000)])
        print(f"lease acquire + close     {took / 10_000 * 1e6:10.1f} us")
    finally:
        shutil.rmtree(where)


if __name__ == "__main__":
    main()
