"""A process that forks workers on a repository and kills them at random moments.

    python kill_server.py REPOSITORY SCRATCH SEED KILLS

It imports everything once and opens nothing itself, so that a worker starts in a few milliseconds
and inherits no lease. Workers acknowledge on standard output, one JSON line each, after the call
that made the thing durable has returned. The server's own lines begin with ``#``.
"""

import hashlib
import json
import os
import random
import signal
import sys
import time
import traceback

import duckdb  # noqa: F401 - loaded before the fork
import numpy as np  # noqa: F401

import holdfast
import holdfast.ingest
import holdfast.ledger.ledger
import holdfast.runs
from holdfast.errors import Busy
from holdfast.runs.model import FileEntry


def acknowledge(**facts):
    os.write(1, json.dumps(facts).encode() + b"\n")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def content(choose):
    size = choose.choice([0, 10, 700, 5000, 70_000])
    # Some bytes come again and again, so that deduplication takes part.
    return choose.choice([b"again" * (size // 5), choose.randbytes(size)])


def ingests(repo, choose, scratch):
    source = os.path.join(scratch, f"tree{os.getpid()}")
    os.makedirs(source, exist_ok=True)
    while True:
        files = {}
        for number in range(choose.randint(1, 12)):
            data = content(choose)
            if choose.random() < 0.05:
                data = choose.randbytes((1 << 20) + 100)
            name = f"f{number}"
            with open(os.path.join(source, name), "wb") as file:
                file.write(data)
            files[name] = sha256(data)
        report = repo.ingest(source, project=f"p{choose.randrange(2)}").sources[0]
        acknowledge(kind="run", run=report.run_id, status=report.status, files=files)


def flushes(repo, choose, scratch):
    while True:
        run = repo.runs.begin(f"p{choose.randrange(2)}", "flush")
        for _ in range(choose.randint(1, 4)):
            files = {}
            for number in range(choose.randint(1, 8)):
                data = content(choose)
                name = f"g{number}.{choose.randrange(10**9)}"
                files[name] = sha256(data)
                key = run.stage(name.encode(), data, files[name])
                run.register(
                    FileEntry(path=name.encode(), size=len(data), sha256=files[name], stored=key)
                )
            run.flush()
            acknowledge(kind="files", run=run.run_id, files=files)
        run.complete()
        acknowledge(kind="run", run=run.run_id, status="completed", files=files)


def puts(repo, choose, scratch):
    while True:
        if choose.random() < 0.5:
            data = choose.randbytes(choose.choice([1, 300, 5000, 200_000]))
            reference = repo.ledger.put(data)
            acknowledge(kind="put", reference=reference.text, sha256=sha256(data))
        else:
            many = [choose.randbytes(choose.randint(1, 2000)) for _ in range(choose.randint(2, 60))]
            for reference, data in zip(repo.ledger.put_many(many), many, strict=True):
                acknowledge(kind="put", reference=reference.text, sha256=sha256(data))


WORK = [ingests, ingests, flushes, puts]


def work(where, scratch, seed):
    choose = random.Random(seed)
    task = choose.choice(WORK)
    try:
        with holdfast.open(where) as repo:
            task(repo, choose, scratch)
    except Busy:
        # Four processes on one lease: to wait too long is an answer too.
        return


def main():
    where, scratch, seed, kills = sys.argv[1:]
    choose = random.Random(int(seed))
    for number in range(int(kills)):
        pid = os.fork()
        if pid == 0:
            try:
                work(where, scratch, f"{seed}-{number}")
            except BaseException:
                os.write(1, b"# failed " + json.dumps(traceback.format_exc()).encode() + b"\n")
            finally:
                os._exit(1)
        time.sleep(choose.choice([0.02, 0.1, 0.3, 0.5]) * choose.random())
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            os.write(1, b"# killed\n")


if __name__ == "__main__":
    main()
