"""Random reads from a volume of 100,000 blocks, each verified, beside bare preads.

python benchmarks/volumes.py [--blocks 100000] [--reads 20000]
"""

from __future__ import annotations

import argparse
import os
import random
import time
from contextlib import closing
from pathlib import Path

from datasets_commits import Unsynced
from measure import interleave, median, save, settle, workspace

BLOCK = 4096


def main() -> None:
    import holdfast
    from holdfast.volumes.volume import Volume

    arguments = argparse.ArgumentParser()
    arguments.add_argument("--blocks", type=int, default=100_000)
    arguments.add_argument("--reads", type=int, default=20_000)
    chosen = arguments.parse_args()
    blocks, reads = chosen.blocks, chosen.reads
    length = blocks * BLOCK
    with workspace("volumes") as work:
        content = random.Random(5).randbytes(1 << 20)

        def expected(offset: int) -> bytes:
            at = offset % ((1 << 20) - BLOCK)
            return content[at : at + BLOCK]

        start = time.perf_counter()
        with (
            closing(holdfast.FileSystemStore(work / "ours", calls=Unsynced())) as store,
            Volume("bench", store, length) as volume,
            volume.transaction() as tx,
            Path(work / "plain.bin").open("wb") as plain,
        ):
            for number in range(blocks):
                data = expected(number * BLOCK)
                tx.stage_write_at(number * BLOCK, data)
                plain.write(data)
        built = time.perf_counter() - start
        print(f"  {blocks} blocks in {built:.0f} s", flush=True)

        def offsets(number: int, step: int) -> list[int]:
            rng = random.Random(number)
            return [rng.randrange(0, length - 2 * BLOCK, step) for _ in range(reads)]

        def ours(step: int):  # type: ignore[no-untyped-def]
            def run(number: int) -> float:
                with closing(holdfast.FileSystemStore(work / "ours")) as store:
                    volume = Volume("bench", store)
                    wanted = offsets(number, step)
                    if volume.read_at(0, BLOCK) != expected(0):
                        raise RuntimeError("wrong bytes")
                    settle()
                    start = time.perf_counter()
                    for offset in wanted:
                        volume.read_at(offset, BLOCK)
                    seconds = time.perf_counter() - start
                    for offset in wanted[:100]:
                        first = offset - offset % BLOCK
                        both = expected(first) + expected(first + BLOCK)
                        if volume.read_at(offset, BLOCK) != both[offset - first :][:BLOCK]:
                            raise RuntimeError("wrong bytes")
                    return seconds

            return run

        def first_read(number: int) -> float:
            with closing(holdfast.FileSystemStore(work / "ours")) as store:
                settle()
                start = time.perf_counter()
                Volume("bench", store).read_at(offsets(number, BLOCK)[0], BLOCK)
                return time.perf_counter() - start

        def bare(number: int) -> float:
            fd = os.open(work / "plain.bin", os.O_RDONLY)
            wanted = offsets(number, BLOCK)
            settle()
            start = time.perf_counter()
            for offset in wanted:
                os.pread(fd, BLOCK, offset)
            seconds = time.perf_counter() - start
            os.close(fd)
            return seconds

        raw = interleave(
            {
                "read_at, one block": ours(BLOCK),
                "read_at, across two blocks": ours(1),
                "open and first read_at": first_read,
                "bare pread of one file": bare,
            }
        )
    save(
        "volumes",
        blocks=blocks,
        block_bytes=BLOCK,
        reads=reads,
        built_seconds_without_sync=round(built, 1),
        seconds=raw,
        reads_per_second={
            name: round(reads / median(seconds))
            for name, seconds in raw.items()
            if "open" not in name
        },
        open_and_first_read_ms=round(1000 * median(raw["open and first read_at"]), 1),
        target="read_at of 4 KiB at 100,000 blocks >= 10,000/s",
    )


if __name__ == "__main__":
    main()
