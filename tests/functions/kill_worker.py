"""Forks workers on a pool and kills them at random moments.

    python kill_worker.py POOL SEED KILLS

A worker acknowledges on standard output, one JSON line each, after the call that made the thing
durable has returned. The server's own lines begin with ``#``.
"""

import json
import os
import random
import signal
import sys
import time
import traceback

from holdfast.errors import Busy
from holdfast.functions import FunctionPool, Source
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore

LANGUAGES = ["eng", "fra", "spa", "a/b", "é" * 256]


def source_of(number, language):
    return f"def f_{language[0].strip('/')}(x, step={number}):\n    return x + step\n"


def work(where, seed):
    choose = random.Random(seed)
    pool = FunctionPool(FileSystemStore(where), "")
    while True:
        what = choose.random()
        if what < 0.2:
            pool.migrate()
        elif what < 0.4:
            items = [(choose.randrange(400), choose.choice(LANGUAGES)) for _ in range(40)]
            acknowledge(pool.add_many(Source(source_of(*i), i[1]) for i in items), items)
        else:
            item = (choose.randrange(400), choose.choice(LANGUAGES))
            acknowledge(pool.add(source_of(*item), item[1]), [item])


def acknowledge(added, items):
    facts = [
        (f"{a.hash}@{a.language}@{a.mapping_hash}", source_of(*item))
        for a, item in zip(added, items, strict=True)
    ]
    os.write(1, json.dumps(facts).encode() + b"\n")


def main():
    where, seed, kills = sys.argv[1:]
    choose = random.Random(int(seed))
    # Once, before the forks: a worker then starts in a few milliseconds.
    warm = FunctionPool(MemoryStore())
    warm.add(source_of(1, "eng"), "eng", normal_form=1)
    warm.add_many(Source(source_of(i, "eng"), "eng") for i in range(2))
    warm.migrate()
    for number in range(int(kills)):
        pid = os.fork()
        if pid == 0:
            try:
                work(where, f"{seed}-{number}")
            except Busy:
                pass
            except BaseException:
                os.write(1, b"# failed " + json.dumps(traceback.format_exc()).encode() + b"\n")
            finally:
                os._exit(1)
        time.sleep(choose.choice([0.02, 0.1, 0.4]) * choose.random())
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            os.write(1, b"# killed\n")


if __name__ == "__main__":
    main()
