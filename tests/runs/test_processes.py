"""Several processes write runs of one project at the same time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

from holdfast.runs import FileEntry, Runs
from holdfast.store.calls import OsCalls
from holdfast.store.filesystem import FileSystemStore
from runs_support import problems

WORKER = """
import sys
from holdfast.runs import FileEntry, Runs
from holdfast.store.filesystem import FileSystemStore
import hashlib
root, number = sys.argv[1], int(sys.argv[2])
runs = Runs(FileSystemStore(root))
for turn in range(4):
    with runs.run("work", project="p") as writer:
        for i in range(30):
            path = b"shared/%d" % i if i % 2 else b"own%d/%d" % (number, i)
            data = b"%d %d" % (i, turn if i % 2 else 0)
            digest = hashlib.sha256(data).hexdigest()
            stored = None
            if writer.predict(path, len(data)).sha256 != digest:
                stored = writer.stage(path, data, digest)
            writer.register(FileEntry(path=path, size=len(data), sha256=digest, stored=stored))
            if i % 10 == 9:
                for answer in writer.flush():
                    print(answer.status)
"""


def test_four_processes_write_one_project_and_nothing_is_lost(tmp_path):
    root = str(tmp_path / "r")
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, root, str(n)], stdout=subprocess.PIPE, text=True
        )
        for n in range(4)
    ]
    answers = [worker.communicate(timeout=120)[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4
    runs = Runs(FileSystemStore(root))
    infos = runs.list_runs("p")
    assert len(infos) == 16
    assert {i.status for i in infos} == {"completed"}
    assert len({(i.timestamp, i.sequence) for i in infos}) == 16
    counted = {}
    for info in infos:
        for outcome, count in info.counts.items():
            counted[outcome] = counted.get(outcome, 0) + count
    flat = [status for answer in answers for status in answer]
    assert counted == {status: flat.count(status) for status in set(flat)}
    # Of each path one version was the first, whoever came first.
    assert counted["new_file"] == 15 + 4 * 15
    current = runs.current_files("p")
    assert len(current) == 75
    for version in current:
        assert runs.open_file(version).read().startswith(version.path.rpartition(b"/")[2])
    assert problems(runs) == []
    assert runs.index.query("SELECT count(*) FROM files WHERE NOT is_superseded") == [(75,)]


def test_a_forked_child_that_closes_leaves_the_parents_run_and_its_files_alone(tmp_path):
    runs = Runs(FileSystemStore(str(tmp_path / "r")))
    writer = runs.begin("p", "work")
    digest = hashlib.sha256(b"data").hexdigest()
    stored = writer.stage(b"path", b"data", digest)
    child = os.fork()
    if child == 0:
        try:
            assert not writer.open
            runs.close()
            writer.leave()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    writer.register(FileEntry(path=b"path", size=4, sha256=digest, stored=stored))
    assert writer.complete().status == "completed"
    assert problems(runs) == []


def test_a_reader_meets_no_damage_at_any_moment_of_a_run(tmp_path):
    root = str(tmp_path / "r")
    seen = []

    class Watched(OsCalls):
        """Looks from outside, as another process does, before each write."""

        def write(self, fd, data):
            seen.append([run.status for run in Runs(FileSystemStore(root)).list_runs()])
            return os.write(fd, data)

    runs = Runs(FileSystemStore(root, calls=Watched()))
    with runs.run("work", project="p") as writer:
        writer.stage(b"path", b"data", hashlib.sha256(b"data").hexdigest())
    assert [] in seen
    assert ["in_progress"] in seen
