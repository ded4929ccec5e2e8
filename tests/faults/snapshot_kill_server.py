"""A process that forks writers of datasets and volumes and kills them at random moments.

    python snapshot_kill_server.py REPOSITORY SEED COMMITS LIFE

It goes on until its writers have acknowledged so many commits; the longest life of a writer is
LIFE seconds. Writers acknowledge on standard output, one JSON line each, after the call that made
the snapshot durable has returned; the server's own lines begin with ``#``.
"""

import json
import os
import random
import signal
import sys
import time
import traceback

import pyarrow.parquet  # noqa: F401 - loaded before the fork

import holdfast
import holdfast.ledger.ledger
from holdfast.datasets.codecs import jsonl  # noqa: F401
from holdfast.datasets.dataset import Dataset
from holdfast.errors import Busy, Conflict
from holdfast.volumes.volume import Volume

DEAD_AFTER = 1.0
LENGTH = 1 << 40


def acknowledge(**facts):
    os.write(1, json.dumps(facts).encode() + b"\n")


def dataset(repo, name, **options):
    return Dataset(
        name, repo.store, sink=repo.ledger, author=repo.author, dead_after=DEAD_AFTER, **options
    )


def appends(repo, choose):
    ds = dataset(repo, "rows", codec="jsonl")
    while True:
        tag = f"{os.getpid()}-{choose.randrange(10**9)}"
        snapshot = ds.append([{"tag": tag, "n": n} for n in range(choose.randint(1, 20))])
        acknowledge(model="dataset", name="rows", id=snapshot.id, tag=tag, rows=snapshot.row_count)


def partitions(repo, choose):
    ds = dataset(repo, "days", partition_by="day", codec="jsonl")
    while True:
        tag = f"{os.getpid()}-{choose.randrange(10**9)}"
        days = range(choose.choice([1, 3, 12]))
        snapshot = ds.write([{"day": f"d{day}", "tag": tag} for day in days])
        acknowledge(model="dataset", name="days", id=snapshot.id, tag=tag, rows=len(days))


def streams(repo, choose):
    ds = dataset(repo, "blobs", codec="raw")
    while True:
        tag = f"{os.getpid()}-{choose.randrange(10**9)}"
        with ds.stream_write({"tag": tag}) as out:
            out.write(tag.encode())
            out.write(bytes(choose.choice([10, 300_000, 1_500_000])))
        acknowledge(model="dataset", name="blobs", id=out.snapshot.id, tag=tag, rows=1)


def blocks(repo, choose):
    volume = Volume("disk", repo.store, LENGTH, sink=repo.ledger, author=repo.author)
    while True:
        tag = f"{os.getpid()}-{choose.randrange(10**9)}".encode()
        offset = choose.randrange(LENGTH // 1024) * 1024
        try:
            block = volume.stage_write_at(offset, tag)
            snapshot = volume.commit([block], {"tag": tag.decode()})
        except Conflict:
            continue
        acknowledge(
            model="volume", name="disk", id=snapshot.id, tag=tag.decode(), offset=offset, rows=1
        )


def work(where, seed):
    choose = random.Random(seed)
    task = choose.choice([appends, appends, partitions, streams, blocks])
    try:
        with holdfast.open(where) as repo:
            task(repo, choose)
    except Busy:
        return  # four processes on one lease: to wait too long is an answer too


def main():
    where, seed, commits, life = sys.argv[1:]
    choose = random.Random(int(seed))
    # The writers' lines are counted on their way out.
    reading, writing = os.pipe()
    done, number, buffered = 0, 0, b""
    while done < int(commits):
        number += 1
        pid = os.fork()
        if pid == 0:
            os.dup2(writing, 1)
            try:
                work(where, f"{seed}-{number}")
            except BaseException:
                os.write(1, b"# failed " + json.dumps(traceback.format_exc()).encode() + b"\n")
            finally:
                os._exit(1)
        end = time.monotonic() + float(life) * choose.choice([0.05, 0.2, 1.0]) * choose.random()
        os.set_blocking(reading, False)
        while True:
            try:
                buffered += os.read(reading, 1 << 16)
            except BlockingIOError:
                if time.monotonic() >= end:
                    break
                time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        try:
            buffered += os.read(reading, 1 << 16)
        except BlockingIOError:
            pass
        lines, _, buffered = buffered.rpartition(b"\n")
        # A killed writer's last line may be cut: what was not said whole was not acknowledged.
        whole = [line for line in lines.split(b"\n") if line.endswith(b"}") or line[:1] == b"#"]
        buffered = b""
        for line in whole:
            os.write(1, line + b"\n")
        done += sum(line[:1] == b"{" for line in whole)
        os.write(1, b"# killed\n")


if __name__ == "__main__":
    main()
