"""The steps of the original artifact manager, where the spec does not ask for better."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from holdfast.runs import Runs
from holdfast.store.memory import MemoryStore
from runs_support import Ticks

FIXTURE = Path(__file__).parents[3] / "shared" / "fixtures" / "runs_legacy" / "expected.json"
ANSWER = {
    "status",
    "message",
    "file_id",
    "file_hash",
    "file_size_bytes",
    "superseded_previous",
    "skip_processing",
}
DUPLICATE = {
    "status",
    "message",
    "existing_run_id",
    "existing_file_path",
    "file_hash",
    "skip_processing",
}


@pytest.fixture(scope="module")
def steps():
    if not FIXTURE.exists():
        pytest.skip(f"no fixture at {FIXTURE}")
    return json.loads(FIXTURE.read_text("utf-8"))


def contents(steps):
    """Bytes for each digest of the fixture: any will do, equal where the originals were."""
    return {
        s["result"]["file_hash"]: s["result"]["file_hash"].encode()
        for s in steps["steps"]
        if isinstance(s["result"], dict) and "file_hash" in s["result"]
    }


def test_the_same_steps_get_the_same_answers(steps):
    runs = Runs(MemoryStore(), clock=Ticks())
    data = contents(steps)
    run_ids, processed, compared = {}, {}, 0
    names = {r["id"]: r for r in steps["tables"]["runs"]}
    files = {f["id"]: f for f in steps["tables"]["files"]}
    for step in steps["steps"]:
        result, text = step["result"], step["step"]
        if text.startswith("create_run") and isinstance(result, dict):
            if re.search(r"\.\.", result["action"]):
                continue  # refused here: it left its folder
            info = runs.create_run(result["project_name"], result["action"])
            run_ids[result["run_dir"].rpartition("data/")[2]] = info.run_id
            run_ids[result["run_id"]] = info.run_id
            assert info.run_dir.startswith("runs/")
            assert info.to_json()["project_name"] == result["project_name"]
        elif text.startswith("register_file") and isinstance(result, dict):
            filename = re.search(r"filename='(.*?)' path", text)[1]
            if result["status"] == "duplicate":
                original = result["existing_run_id"]
            else:
                original = (
                    files[result["file_id"]]["run_id"] if result["file_id"] in files else None
                )
            run = names.get(original)
            # The step's own run: the fixture names only its folder, shared by several projects.
            target = _run_of_step(steps, step, run)
            if target not in run_ids:
                continue
            done = bool(result.get("file_id") in files and files[result["file_id"]]["processed_at"])
            answer = runs.register_file(
                run_ids[target], filename, data[result["file_hash"]], processed=done
            )
            expected = result["status"]
            version = names[target]["project_id"], filename
            if expected != "duplicate":
                processed[version] = done
            elif not processed[version]:
                expected = "processed_again"  # (+) that version was never processed successfully
            assert answer.status == expected, text
            keys = DUPLICATE if result["status"] == "duplicate" else ANSWER
            assert keys == result.keys()
            assert keys <= answer.to_json().keys()
            if expected == result["status"]:
                assert answer.message == result["message"]
                assert answer.skip_processing == result["skip_processing"]
            if "superseded_previous" in result:
                assert answer.superseded_previous == result["superseded_previous"]
            compared += 1
    assert compared >= 15


def _run_of_step(steps, step, run):
    """The id of the run that a step registers in."""
    folder = re.search(r"run=(.*?) filename", step["step"])[1]
    result = step["result"]
    if result["status"] != "duplicate":
        return run["id"] if run else None
    project = run["project_id"] if run else None
    for candidate in steps["tables"]["runs"]:
        name = f"{candidate['timestamp']}_{candidate['sequence']:03d}_{candidate['action']}"
        if name == folder and candidate["project_id"] == project:
            return candidate["id"]
    return None


def test_a_history_has_the_fields_of_the_original(steps):
    runs = Runs(MemoryStore(), clock=Ticks())
    info = runs.create_run("p", "a")
    runs.register_file(info.run_id, "a", b"1")
    (version,) = runs.get_file_history("p", "a")
    wanted = next(iter(steps["file_history"].values()))[0].keys() - {"project_id"}
    assert wanted <= version.to_json().keys()
    listed = next(iter(steps["list_runs"].values()))[0].keys()
    assert listed <= info.to_json().keys()


def test_the_macros_have_the_parameters_of_the_original(steps):
    runs = Runs(MemoryStore())
    found = dict(
        runs.index.query(
            "SELECT function_name, parameters FROM duckdb_functions() "
            "WHERE function_type LIKE '%macro' AND NOT internal"
        )
    )
    for name, parameters, _ in steps["macros"]:
        assert found[name] == parameters
