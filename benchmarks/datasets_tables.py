"""A table of 10,000,000 rows written and read as Parquet, against plain pyarrow with the same
settings; and small records as JSON Lines.

Both sides end with fsync of the file and its folder. Ours hashes what it writes (SHA-256, and the
hashes of 1 MiB blocks), collects statistics, commits, and verifies every byte that it reads.

python benchmarks/datasets_tables.py [--rows 10000000] [--records 1000000]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any

from measure import interleave, median, save, timed, workspace

TARGETS = {"encode": 2_000_000, "decode": 1_500_000}


def table(rows: int) -> Any:
    """Integers, times, floats and names as measurements have them; about 43 bytes a row."""
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(11)
    begin = np.datetime64("2026-01-01T00:00:00", "us")
    names = pa.array([f"station-{i:03}" for i in range(500)])
    return pa.table(
        {
            "id": np.arange(rows),
            "time": begin + np.arange(rows) * np.timedelta64(250, "ms"),
            "station": names.take(pa.array(rng.integers(0, 500, rows))),
            "temperature": np.round(rng.normal(12, 8, rows), 1),
            "value": rng.random(rows),
        }
    )


def parquet(work: Path, rows: int) -> dict[str, Any]:
    """Whole tables: written durable, and read into Arrow."""
    import pyarrow.parquet as pq

    import holdfast
    from holdfast.datasets.codecs.parquet import ROW_GROUP_ROWS
    from holdfast.datasets.dataset import Dataset

    data = table(rows)
    plain = work / "plain.parquet"
    folder = work / "ours"

    def synced(path: Path) -> None:
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def plain_write(_: int) -> float:
        plain.unlink(missing_ok=True)

        def run() -> None:
            pq.write_table(data, plain, compression="zstd", row_group_size=ROW_GROUP_ROWS)
            synced(plain)
            synced(work)

        return timed(run)

    def our_write(_: int) -> float:
        shutil.rmtree(folder, ignore_errors=True)
        with closing(holdfast.FileSystemStore(folder)) as store:
            return timed(lambda: Dataset("bench", store, codec="parquet").write(data))

    def plain_read(_: int) -> float:
        return timed(lambda: _whole(pq.read_table(plain), rows))

    def our_read(_: int) -> float:
        with closing(holdfast.FileSystemStore(folder)) as store:
            return timed(lambda: _whole(Dataset("bench", store).to_arrow(), rows))

    raw = interleave(
        {
            "pyarrow write": plain_write,
            "holdfast write": our_write,
            "pyarrow read": plain_read,
            "holdfast read": our_read,
        }
    )
    with closing(holdfast.FileSystemStore(folder)) as store:
        stored = Dataset("bench", store).latest()
        if not stored.to_arrow().equals(data):
            raise RuntimeError("what was read is not what was written")
        size = sum(file.size_bytes for file in stored.files)
    return {
        "rows": rows,
        "arrow_bytes": data.nbytes,
        "file_bytes": {"pyarrow": plain.stat().st_size, "holdfast": size},
        "seconds": raw,
        "ratio": {
            what: round(median(raw[f"holdfast {what}"]) / median(raw[f"pyarrow {what}"]), 3)
            for what in ("write", "read")
        },
    }


def _whole(found: Any, rows: int) -> None:
    if found.num_rows != rows:
        raise RuntimeError(f"{found.num_rows} rows")


class Lines:
    """A file of JSON lines in memory: what an encoder writes into, and a decoder reads."""

    name = "lines"

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: Any) -> None:
        self.data += data

    def read_all(self) -> bytes:
        return bytes(self.data)

    def stream(self) -> Iterator[bytes]:
        for at in range(0, len(self.data), 1 << 20):
            yield bytes(self.data[at : at + (1 << 20)])

    def open(self) -> IO[bytes]:
        raise NotImplementedError


def jsonl(work: Path, records: int) -> dict[str, Any]:
    """The codec alone, in its default mode (with statistics), and whole writes and reads."""
    import holdfast
    from holdfast.datasets.codecs.jsonl import Jsonl
    from holdfast.datasets.dataset import Dataset

    shapes = {
        "2 fields": [{"id": i, "name": f"user {i % 1000}"} for i in range(records)],
        "4 fields": [
            {"id": i, "name": f"user {i % 1000}", "value": i * 0.5, "ok": i % 3 == 0}
            for i in range(records)
        ],
    }
    facts: dict[str, Any] = {"records": records}
    for shape, rows in shapes.items():
        lines = Lines()
        folder = work / f"jsonl {shape}"

        def encode(_: int, rows: list[Any] = rows) -> float:
            nonlocal lines
            lines = Lines()

            def run() -> None:
                encoder = Jsonl().encoder(lines)
                for at in range(0, len(rows), 16_384):
                    encoder.write(rows[at : at + 16_384])
                encoder.finish()

            return timed(run)

        def decode(_: int) -> float:
            return timed(lambda: _count(Jsonl().read_rows(lines), records))  # noqa: B023

        def write(_: int, rows: list[Any] = rows, folder: Path = folder) -> float:
            shutil.rmtree(folder, ignore_errors=True)
            with closing(holdfast.FileSystemStore(folder)) as store:
                return timed(lambda: Dataset("bench", store).write(rows))

        def read(_: int, folder: Path = folder) -> float:
            with closing(holdfast.FileSystemStore(folder)) as store:
                return timed(lambda: _count(Dataset("bench", store).latest().read_rows(), records))

        def plain_encode(_: int, rows: list[Any] = rows) -> float:
            return timed(lambda: "\n".join(map(json.dumps, rows)).encode())

        def plain_decode(_: int) -> float:
            return timed(lambda: [json.loads(line) for line in lines.data.splitlines()])  # noqa: B023

        raw = interleave(
            {
                "encode": encode,
                "decode": decode,
                "write, durable": write,
                "read, verified": read,
                "json.dumps": plain_encode,
                "json.loads": plain_decode,
            }
        )
        facts[shape] = {
            "seconds": raw,
            "rows_per_second": {name: round(records / median(s)) for name, s in raw.items()},
        }
    return facts


def _count(pieces: Iterator[list[Any]], records: int) -> None:
    found = sum(len(rows) for rows in pieces)
    if found != records:
        raise RuntimeError(f"{found} records")


def main() -> None:
    import pyarrow as pa

    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument("--records", type=int, default=1_000_000)
    chosen = arguments.parse_args()
    with workspace("datasets_tables") as work:
        lines = jsonl(work, chosen.records)
        whole = parquet(work, chosen.rows)
    save(
        "datasets_tables",
        pyarrow=pa.__version__,
        parquet=whole,
        jsonl=lines,
        target="Parquet write and read within 1.15 x of pyarrow; JSON Lines of small rows: encode "
        f">= {TARGETS['encode']:,}/s, decode >= {TARGETS['decode']:,}/s",
    )


if __name__ == "__main__":
    main()
