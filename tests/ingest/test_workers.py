"""Worker processes: what they do is what this process would do, whatever happens to them."""

import hashlib
import importlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

import holdfast
from holdfast.errors import HoldfastError
from holdfast.ingest import small
from holdfast.ingest.workers import PROGRAM, Workers
from holdfast.leases import FileLeases
from trees import Node, describe, plain, plant, trees

intake = importlib.import_module("holdfast.ingest.intake")
units = importlib.import_module("holdfast.ingest.units")
workers = importlib.import_module("holdfast.ingest.workers")

# Goes before the worker's main loop; `take` is what it does with one file.
MEDDLING = PROGRAM.replace("small.main()", "import os; take = small.take\n{}\nsmall.main()")
DYING = """
def dying(folder, name, target, known):
    if name == b'f017':
        os.write(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY), b'to')
        os.kill(os.getpid(), 9)
    return take(folder, name, target, known)
small.take = dying
"""


class Prompt(Workers):
    """Workers that are ready before the first file is handed out, and count what they get."""

    given = 0

    def __init__(self, number, lease):
        super().__init__(number, lease)
        while self.alive and not self.ready:
            assert self.answers(60.0) == []

    def give(self, job, asked, folders):
        Prompt.given += len(asked)
        super().give(job, asked, folders)


@pytest.fixture
def prompt(monkeypatch):
    """Everything goes to workers, in units of ten files."""
    monkeypatch.setattr(intake, "Workers", Prompt)
    monkeypatch.setattr(intake, "WORKERS_FROM", 1)
    monkeypatch.setattr(units, "UNIT_FILES", 10)
    Prompt.given = 0
    return Prompt


@pytest.fixture
def repo(tmp_path):
    with holdfast.init(tmp_path / "repo") as repo:
        yield repo


def many(root, number=100):
    plant(root, {b"d%d/f%03d" % (n % 3, n): Node("file", b"%d" % n) for n in range(number)})


def stored_files(repo):
    """Keys of all raw_source files on the disk, and those that the runs' files name."""
    on_disk = {e.path for e in repo.store.list("runs") if "/raw_source/" in e.path}
    named = {
        f"runs/{version.stored}"
        for run in repo.runs.list_runs()
        for version in repo.runs.files_of(run.run_id)
        if version.stored is not None
    }
    return on_disk, named


def facts(repo, project):
    return {
        v.path: (v.kind, v.size, v.sha256, v.mode, v.mtime_ns, v.target, v.stored.split("/", 2)[2])
        if v.stored
        else (v.kind, v.target)
        for v in repo.runs.current_files(project)
    }


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tree=trees())
def test_any_tree_is_taken_as_this_process_takes_it(tree, prompt):
    with tempfile.TemporaryDirectory() as work:
        plant(Path(work) / "t", tree)
        with holdfast.init(Path(work) / "repo") as repo:
            assert repo.ingest(Path(work) / "t", project="workers").ok
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Prompt, "possible", lambda: False)
                assert repo.ingest(Path(work) / "t", project="threads").ok
            assert facts(repo, "workers") == facts(repo, "threads")
            again = repo.ingest(Path(work) / "t", project="workers")
            assert again.bytes_stored == 0
            on_disk, named = stored_files(repo)
            assert on_disk == named
            repo.restore("workers", Path(work) / "back")
            assert repo.verify().findings == []
        assert describe(Path(work) / "back") == describe(Path(work) / "t")


def test_workers_take_all_small_files_of_a_large_tree(repo, tmp_path, prompt):
    many(tmp_path / "t")
    assert repo.ingest(tmp_path / "t").counts == {"new_file": 100}
    assert prompt.given == 100


def test_a_changed_file_is_a_new_version_and_old_bytes_are_not_stored_again(repo, tmp_path, prompt):
    plain(tmp_path / "t", a=b"1", b=b"2")
    repo.ingest(tmp_path / "t")
    (tmp_path / "t" / "a").write_bytes(b"other")
    assert repo.ingest(tmp_path / "t").counts == {"new_version": 1, "duplicate": 1}
    (tmp_path / "t" / "a").write_bytes(b"1")
    report = repo.ingest(tmp_path / "t")
    assert report.counts == {"new_version": 1, "duplicate": 1}
    assert report.bytes_stored == 0
    on_disk, named = stored_files(repo)
    assert on_disk == named
    assert len(on_disk) == 3


def test_what_a_killed_worker_had_is_done_again_and_nothing_of_it_is_left(
    repo, tmp_path, prompt, monkeypatch
):
    monkeypatch.setattr(workers, "PROGRAM", MEDDLING.format(DYING))
    many(tmp_path / "t")
    assert repo.ingest(tmp_path / "t", jobs=2).counts == {"new_file": 100}
    on_disk, named = stored_files(repo)
    assert on_disk == named
    assert {k.rpartition("/")[2] for k in on_disk} == {f"f{n:03d}" for n in range(100)}
    assert repo.verify().findings == []


def test_a_file_that_was_there_is_not_taken_for_a_killed_workers(repo, tmp_path):
    run = repo.runs.begin("p", "test")
    direct = run.direct()
    place, other = direct.place(b"a/Name"), direct.place(b"a/other")
    run.stage(b"a/name", b"staged", hashlib.sha256(b"staged").hexdigest())
    for path in (place.file, other.file):
        Path(path).write_bytes(b"torn")
    direct.lost([place, other], ())
    assert sorted(p.name for p in Path(place.folder).iterdir()) == ["Name", "name"]
    run.fail("test ends")


@pytest.mark.parametrize(
    "program",
    ["raise SystemExit", "import time; time.sleep(1000)", MEDDLING.format("os._exit(1)")],
    ids=["ends", "hangs", "ends before its greeting"],
)
def test_workers_that_never_come_up_are_done_without(repo, tmp_path, monkeypatch, program):
    monkeypatch.setattr(intake, "WORKERS_FROM", 1)
    monkeypatch.setattr(units, "UNIT_FILES", 10)
    monkeypatch.setattr(workers, "PROGRAM", program)
    many(tmp_path / "t")
    before = children()
    assert repo.ingest(tmp_path / "t").counts == {"new_file": 100}
    assert children() == before


def test_threads_do_all_where_no_process_can_be_started(repo, tmp_path, monkeypatch):
    monkeypatch.setattr(intake, "WORKERS_FROM", 1)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python-that-is-not-there"))
    many(tmp_path / "t")
    assert repo.ingest(tmp_path / "t").counts == {"new_file": 100}


@pytest.mark.parametrize("executable", ["", "/usr/sbin/some-server"])
def test_an_application_that_embeds_python_is_not_started_as_a_worker(monkeypatch, executable):
    monkeypatch.setattr(sys, "executable", executable)
    assert not Workers.possible()


def test_an_interrupt_ends_the_workers_and_leaves_nothing_half_taken(
    repo, tmp_path, prompt, monkeypatch
):
    monkeypatch.setattr(intake, "BATCH_FILES", 20)
    monkeypatch.setattr(intake, "_TICK", 0.0)
    many(tmp_path / "t", 300)

    def interrupt(done):
        if done.outcomes.get("new_file", 0) >= 40:
            raise KeyboardInterrupt

    before = children()
    with pytest.raises(KeyboardInterrupt):
        repo.ingest(tmp_path / "t", progress=interrupt)
    assert children() == before
    (run,) = repo.runs.list_runs()
    assert (run.status, run.error) == ("failed", "interrupted")
    on_disk, named = stored_files(repo)
    assert on_disk == named
    assert len(named) >= 40
    assert repo.verify().findings == []


def test_a_worker_ignores_the_interrupt_of_the_terminal(tmp_path):
    crew, folder = one_worker(tmp_path)
    source = os.open(tmp_path, os.O_RDONLY)
    (tmp_path / "f").write_bytes(b"1")
    crew._workers[0].process.send_signal(signal.SIGINT)
    crew.give("job", [(0, b"f", os.fsencode(folder / "f"), b"")], [source])
    ((job, (answer,)),) = crew.answers(60.0)
    assert (job, answer[0], answer[4]) == ("job", hashlib.sha256(b"1").digest(), True)
    crew.close()
    os.close(source)


def test_a_disk_that_is_full_for_the_worker_is_the_error_of_always(tmp_path):
    # The limit of a file's size stands for the disk: children inherit it.
    script = (
        "import holdfast, importlib, resource, signal, sys\n"
        "from pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "importlib.import_module('holdfast.ingest.intake').WORKERS_FROM = 1\n"
        "repo = holdfast.init(sys.argv[1] + '/repo')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "try:\n"
        "    repo.ingest(sys.argv[1] + '/t')\n"
        "except holdfast.HoldfastError as error:\n"
        "    print(type(error).__name__, error.details['errno'])\n"
    )
    plain(tmp_path / "t", a=b"1", b=b"2" * 30000)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["NoSpace", "EFBIG"]
    with holdfast.open(tmp_path / "repo") as repo:
        assert repo.fsck(repair=True).ok
        assert stored_files(repo)[0] == set()


def test_a_write_that_fails_in_the_worker_only_is_done_again(repo, tmp_path, prompt, monkeypatch):
    failing = "def fail(fd, data): raise OSError(5, 'no')\nsmall.os.write = fail"
    monkeypatch.setattr(workers, "PROGRAM", MEDDLING.format(failing))
    many(tmp_path / "t")
    assert repo.ingest(tmp_path / "t").counts == {"new_file": 100}
    on_disk, named = stored_files(repo)
    assert on_disk == named
    assert {k.rpartition("/")[2] for k in on_disk} == {f"f{n:03d}" for n in range(100)}


def test_a_killed_process_leaves_its_run_held_until_its_worker_has_ended(tmp_path):
    script = (
        "import os, sys\n"
        "from holdfast.ingest import workers\n"
        "from holdfast.leases import FileLeases\n"
        "lease = FileLeases(sys.argv[1]).acquire('runs/x')\n"
        "crew = workers.Workers(1, lease.fileno())\n"
        "while not crew.ready: crew.answers(60.0)\n"
        "print(crew._workers[0].process.pid, flush=True)\n"
        "crew._workers[0].process.send_signal(19)\n"
        "sys.stdin.read(1)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    worker = int(process.stdout.readline())
    process.communicate(b"x")
    assert process.returncode == -signal.SIGKILL
    leases = FileLeases(str(tmp_path))
    with pytest.raises(HoldfastError, match="runs/x"):
        leases.acquire("runs/x", timeout=0)
    os.kill(worker, signal.SIGCONT)
    leases.acquire("runs/x", timeout=60).close()


@pytest.mark.parametrize("name", [b"link", b"pipe", b"folder", b"large", b"missing"])
def test_a_worker_leaves_what_is_not_a_small_file_to_others(tmp_path, name):
    (tmp_path / "f").write_bytes(b"1")
    (tmp_path / "link").symlink_to("f")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(bytes(small.WORKER_SIZE + 1))
    folder = os.open(tmp_path, os.O_RDONLY)
    assert small.take(folder, name, os.fsencode(tmp_path / "new"), b"") is None
    os.close(folder)
    assert not (tmp_path / "new").exists()


def test_a_worker_leaves_a_file_that_changes_to_others(tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"1")

    def meddling(fd, before):
        (tmp_path / "f").write_bytes(b"22")
        return read_whole(fd, before)

    read_whole = small.read_whole
    monkeypatch.setattr(small, "read_whole", meddling)
    folder = os.open(tmp_path, os.O_RDONLY)
    assert small.take(folder, b"f", os.fsencode(tmp_path / "new"), b"") is None
    os.close(folder)
    assert not (tmp_path / "new").exists()


def test_a_worker_overwrites_nothing(tmp_path):
    (tmp_path / "f").write_bytes(b"1")
    (tmp_path / "there").write_bytes(b"old")
    folder = os.open(tmp_path, os.O_RDONLY)
    assert small.take(folder, b"f", os.fsencode(tmp_path / "there"), b"") is None
    os.close(folder)
    assert (tmp_path / "there").read_bytes() == b"old"


def one_worker(tmp_path):
    lease = FileLeases(str(tmp_path / "locks")).acquire("runs/x")
    crew = Prompt(1, lease.fileno())
    (tmp_path / "target").mkdir()
    return crew, tmp_path / "target"


def children():
    """Processes that this one started and did not wait for."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # pid (name) state parent …
            facts = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(facts[1]) == os.getpid():
            found.add(stat.parent.name)
    return found
