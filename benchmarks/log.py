"""The log: batched append, verification of the chain, and open of a repository with 1,000,000
artifacts."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from contextlib import closing

from measure import ROUNDS, interleave, median, save, settle, workspace

RECORDS = 200_000
BATCH = 10_000
ARTIFACTS = int(os.environ.get("HOLDFAST_BENCH_ARTIFACTS", "1000000"))

OPEN_CHILD = """
import json, sys, time
import holdfast, holdfast.opening, holdfast.ledger.ledger
start = time.perf_counter()
repo = holdfast.open(sys.argv[1])
repo.ledger.position()
opened = time.perf_counter() - start
start = time.perf_counter()
repo.ledger.get(holdfast.Reference.parse(sys.argv[2]))
first = time.perf_counter() - start
print(json.dumps([opened, first]))
"""


def main() -> None:
    import holdfast
    from holdfast.ledger.artifact import encode_ref, reference_of
    from holdfast.ledger.log import Entry, open_log
    from holdfast.ledger.payload import RecordType

    payload = encode_ref(reference_of(b"x")) + bytes(8)
    entries = [Entry(RecordType.TOMBSTONE, payload)] * BATCH

    with workspace("log") as work:

        def append(number: int) -> float:
            with closing(holdfast.FileSystemStore(work / f"log{number}")) as store:
                log = open_log(store)
                log.append(lambda head: entries[:1])
                settle()
                start = time.perf_counter()
                for _ in range(RECORDS // BATCH):
                    log.append(lambda head: entries)
                seconds = time.perf_counter() - start
                log.close()
                return seconds

        def check(number: int) -> float:
            with closing(holdfast.FileSystemStore(work / f"log{number}")) as store:
                log = open_log(store)
                start = time.perf_counter()
                for finding in log.verify(deep=True):
                    if hasattr(finding, "severity") and finding.severity == "error":
                        raise RuntimeError(finding.message)
                seconds = time.perf_counter() - start
                log.close()
                return seconds

        raw = interleave({"append": append, "verify": check})

        rng = random.Random(3)
        with holdfast.init(work / "million") as repo:
            last = None
            for _ in range(0, ARTIFACTS, 100_000):
                refs = repo.ledger.put_many(
                    [rng.randbytes(64) for _ in range(min(100_000, ARTIFACTS))]
                )
                last = refs[-1]
        assert last is not None
        opened, first = [], []
        for _ in range(ROUNDS + 1):
            done = subprocess.run(
                [sys.executable, "-c", OPEN_CHILD, str(work / "million"), last.text],
                capture_output=True,
                text=True,
                check=True,
            )
            a, b = json.loads(done.stdout)
            opened.append(a * 1000)
            first.append(b * 1000)
    save(
        "log",
        records=RECORDS,
        batch=BATCH,
        seconds=raw,
        append_per_second=round(RECORDS / median(raw["append"])),
        verify_per_second=round(RECORDS / median(raw["verify"])),
        artifacts=ARTIFACTS,
        open_ms=[round(v, 1) for v in opened],
        open_ms_median=round(median(opened[1:]), 1),
        first_get_ms=[round(v, 1) for v in first],
        target="append >= 300,000/s, verify >= 500,000/s, open < 150 ms",
    )


if __name__ == "__main__":
    main()
