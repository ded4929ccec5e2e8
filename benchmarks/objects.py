"""put and get of 1 KiB artifacts against disk-objectstore, side by side.

Ours: `put_many` (batched), `put` (single, durable), warm random `get`, `get_many`, digest checked.
Theirs: `add_objects_to_pack` and `add_object` (loose), with its own fsync; `get_object_content` and
`get_objects_content`, which check nothing.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

from measure import PEERS, interleave, median, save, settle, workspace

BATCHED = 50_000
SINGLE = 2_000
READS = 50_000

PEER_CHILD = """
import json, os, random, sys, time
from disk_objectstore import Container
what, folder, count, reads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
container = Container(folder)
if not container.is_initialised:
    container.init_container()
rng = random.Random(int(sys.argv[5]))
if what in ("batch", "single"):
    data = [rng.randbytes(1024) for _ in range(count)]
    os.sync()
    start = time.perf_counter()
    if what == "batch":
        keys = container.add_objects_to_pack(data, do_fsync=True, do_commit=True)
    else:
        keys = [container.add_object(d) for d in data]
    seconds = time.perf_counter() - start
    json.dump(keys, open(folder + ".keys", "w"))
else:
    keys = json.load(open(folder + ".keys"))
    wanted = [rng.choice(keys) for _ in range(reads)]
    container.get_objects_content(keys)
    start = time.perf_counter()
    if what == "get":
        for key in wanted:
            container.get_object_content(key)
    else:
        got = container.get_objects_content(wanted)
    seconds = time.perf_counter() - start
container.close()
print(seconds)
"""


def main() -> None:
    import holdfast

    rng = random.Random(7)
    peer_python = PEERS / "bin" / "python"

    with workspace("objects") as work:

        def batch(number: int) -> float:
            data = [rng.randbytes(1024) for _ in range(BATCHED)]
            with holdfast.init(work / f"batch{number}") as repo:
                settle()
                start = time.perf_counter()
                refs = repo.ledger.put_many(data)
                seconds = time.perf_counter() - start
                (work / f"batch{number}.refs").write_text("\n".join(r.text for r in refs))
                return seconds

        def single(number: int) -> float:
            data = [rng.randbytes(1024) for _ in range(SINGLE)]
            with holdfast.init(work / f"single{number}") as repo:
                settle()
                start = time.perf_counter()
                for item in data:
                    repo.ledger.put(item)
                return time.perf_counter() - start

        def wanted(number: int) -> list[holdfast.Reference]:
            lines = (work / f"batch{number}.refs").read_text().split()
            return [holdfast.Reference.parse(rng.choice(lines)) for _ in range(READS)]

        def get(number: int) -> float:
            with holdfast.open(work / f"batch{number}") as repo:
                refs = wanted(number)
                read = repo.ledger.get
                for ref in refs[:2000]:
                    read(ref)
                start = time.perf_counter()
                for ref in refs:
                    read(ref)
                return time.perf_counter() - start

        def get_many(number: int) -> float:
            with holdfast.open(work / f"batch{number}") as repo:
                refs = wanted(number)
                repo.ledger.get(refs[0])
                start = time.perf_counter()
                for _ in repo.ledger.get_many(refs):
                    pass
                return time.perf_counter() - start

        contenders = {
            "holdfast put_many": batch,
            "holdfast put": single,
            "holdfast get": get,
            "holdfast get_many": get_many,
        }
        counts = {
            "holdfast put_many": BATCHED,
            "holdfast put": SINGLE,
            "holdfast get": READS,
            "holdfast get_many": READS,
        }
        if peer_python.exists():

            def theirs(what: str, count: int):  # type: ignore[no-untyped-def]
                def run(number: int) -> float:
                    folder = work / f"dos-{'single' if what == 'single' else 'batch'}{number}"
                    settle()
                    done = subprocess.run(
                        [
                            str(peer_python),
                            "-c",
                            PEER_CHILD,
                            what,
                            str(folder),
                            str(count),
                            str(READS),
                            str(number),
                        ],
                        capture_output=True,
                        text=True,
                        check=False,
                        env=os.environ | {"PYTHONWARNINGS": "ignore"},
                    )
                    if done.returncode:
                        raise RuntimeError(done.stderr)
                    return float(done.stdout)

                return run

            for name, what, count in [
                ("disk-objectstore add_objects_to_pack", "batch", BATCHED),
                ("disk-objectstore add_object", "single", SINGLE),
                ("disk-objectstore get_object_content", "get", BATCHED),
                ("disk-objectstore get_objects_content", "bulk", BATCHED),
            ]:
                contenders[name] = theirs(what, count)
                counts[name] = READS if what in ("get", "bulk") else count
        raw = interleave(contenders)
    rates = {name: round(counts[name] / median(values)) for name, values in raw.items()}
    save(
        "objects",
        object_bytes=1024,
        seconds=raw,
        counts=counts,
        per_second=rates,
        target="put_many and get >= 50,000/s, digest checked, each ahead of disk-objectstore",
    )


if __name__ == "__main__":
    sys.exit(main())
