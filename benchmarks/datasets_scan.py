"""One day out of 1,000 hive partitions, beside a scan of all and beside pyarrow.dataset.

The files that a scan opens are counted at the system calls.

python benchmarks/datasets_scan.py [--days 1000] [--rows-per-day 10000]
"""

from __future__ import annotations

import argparse
import time
from contextlib import closing
from typing import Any

from datasets_commits import Unsynced
from measure import interleave, median, save, settle, workspace

from holdfast.store.calls import OsCalls

REPEATS = 20


class Counting(OsCalls):
    """System calls that remember which data files were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: set[str] = set()

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        if "/day=" in path and not path.endswith((".blk", "manifest.json")):
            self.opened.add(path)
        return super().open(path, flags, mode)


def table(days: int, rows: int) -> Any:
    """`rows` measurements of each day."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(13)
    count = days * rows
    numbers = np.arange(days)
    names = pa.array([str(np.datetime64("2024-01-01") + n) for n in numbers])
    return pa.table(
        {
            "day": names.take(pa.array(np.repeat(numbers, rows))),
            "n": np.arange(count),
            "station": rng.integers(0, 500, count),
            "value": rng.random(count),
        }
    )


def main() -> None:
    import pyarrow as pa
    import pyarrow.dataset
    from pyarrow.compute import field

    import holdfast
    from holdfast.datasets.dataset import Dataset

    arguments = argparse.ArgumentParser()
    arguments.add_argument("--days", type=int, default=1000)
    arguments.add_argument("--rows-per-day", type=int, default=10_000)
    chosen = arguments.parse_args()
    days, rows = chosen.days, chosen.rows_per_day
    with workspace("datasets_scan") as work:
        with closing(holdfast.FileSystemStore(work / "ours", calls=Unsynced())) as store:
            start = time.perf_counter()
            snapshot = Dataset("bench", store, partition_by="day", codec="parquet").write(
                table(days, rows)
            )
            print(f"  written in {time.perf_counter() - start:.1f} s", flush=True)
            paths = [str(work / "ours" / file.path) for file in snapshot.files]
        calls = Counting()
        opened: dict[str, int] = {}
        with closing(holdfast.FileSystemStore(work / "ours", calls=calls)) as store:
            warm = Dataset("bench", store)
            names = sorted({path.split("/day=")[1].split("/")[0] for path in paths})

            def read(name: str, dataset: Any, where: Any, expected: int) -> None:
                calls.opened.clear()
                found = dataset.scan(where=where).to_arrow()
                if found.num_rows != expected:
                    raise RuntimeError(f"{found.num_rows} rows, expected {expected}")
                opened[name] = max(opened.get(name, 0), len(calls.opened))

            def pruned(number: int) -> float:
                settle()
                start = time.perf_counter()
                for turn in range(REPEATS):
                    day = names[(number * REPEATS + turn * 37) % days]
                    read("one day", warm, field("day") == day, rows)
                return (time.perf_counter() - start) / REPEATS

            def cold(number: int) -> float:
                settle()
                start = time.perf_counter()
                day = names[number * 31 % days]
                read("one day, new handle", Dataset("bench", store), field("day") == day, rows)
                return time.perf_counter() - start

            def everything(number: int) -> float:
                settle()
                start = time.perf_counter()
                read("all", warm, None, days * rows)
                return time.perf_counter() - start

            def arrow(number: int) -> float:
                settle()
                known = pyarrow.dataset.dataset(paths, format="parquet", partitioning="hive")
                start = time.perf_counter()
                for turn in range(REPEATS):
                    day = names[(number * REPEATS + turn * 37) % days]
                    known.to_table(filter=field("day") == day)
                return (time.perf_counter() - start) / REPEATS

            read("one day", warm, field("day") == names[0], rows)
            raw = interleave(
                {
                    "one day": pruned,
                    "one day, new handle": cold,
                    "all": everything,
                    "pyarrow.dataset, one day": arrow,
                }
            )
    middle = {name: median(seconds) for name, seconds in raw.items()}
    save(
        "datasets_scan",
        pyarrow=pa.__version__,
        days=days,
        rows=days * rows,
        files=len(paths),
        files_opened=opened,
        seconds=raw,
        ms={name: round(1000 * seconds, 2) for name, seconds in middle.items()},
        all_against_one_day=round(middle["all"] / middle["one day"], 1),
        all_against_one_day_new_handle=round(middle["all"] / middle["one day, new handle"], 1),
        target="one day of 1,000 opens only its files and is >= 100 x faster than all",
    )


if __name__ == "__main__":
    main()
