"""The index of runs lies outside the crash model: after any power loss it is taken as lost, torn or
stale, and the answers are the same."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from crash.test_runs_crash import write_history
from holdfast.runs import Runs
from holdfast.store.filesystem import FileSystemStore
from holdfast.testing.crash_model import CrashCalls
from runs_support import Ticks

SOAK = os.environ.get("HOLDFAST_SOAK") == "1"
INDEX = "runs/metadata.duckdb"
TABLES = ("projects", "sources", "runs", "files", "run_files")


def plant(calls: CrashCalls, root: Path) -> Path:
    """What `calls` holds as real files below `root`."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for path, data in calls.tree().items():
        target = root / path.removeprefix("/r/repository/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return root


def answers(root: Path) -> dict[str, list[tuple]]:
    """What the index says, table by table."""
    with Runs(FileSystemStore(root)) as runs:
        return {table: runs.index.query(f"SELECT * FROM {table} ORDER BY ALL") for table in TABLES}


def moment(calls: CrashCalls) -> int:
    """After how many operations the power went."""
    return int(calls.story.split()[2])


def test_an_index_lost_torn_or_stale_answers_as_one_built_anew(tmp_path):
    model = CrashCalls()
    write_history(model)
    states = sorted(model.crashes(limit=200, seed=5), key=moment)
    early = next(s for s in states if moment(s) > 30 and "nothing lost" in s.story)
    answers(plant(early, tmp_path / "early"))
    stale = (tmp_path / "early" / INDEX).read_bytes()
    later = [s for s in states if moment(s) > moment(early)]
    sizes = set()
    for state in later[:: 1 if SOAK else len(later) // 6]:
        root = plant(state, tmp_path / "now")
        with Runs(FileSystemStore(root), clock=Ticks()) as runs:
            runs.recover()
        built = answers(root)  # of a lost index
        sizes.add(len(built["run_files"]))
        whole = (root / INDEX).read_bytes()
        for index in (stale, stale[: len(stale) // 2], whole[:-1], b""):
            for path in (root / "runs").glob("metadata.duckdb*"):
                path.unlink()
            (root / INDEX).write_bytes(index)
            assert answers(root) == built, state.story
    assert len(sizes) > 1
    assert max(sizes) > 0
