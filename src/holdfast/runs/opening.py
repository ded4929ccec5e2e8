"""Opening a run: its folder, its sequence number, its first journal line (spec/runs.md §1)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from holdfast.clock import rfc3339
from holdfast.errors import HoldfastError, Invalid, PathExists
from holdfast.records import is_input
from holdfast.runs.finish import CLAIM, INSTRUCTIONS, remove_empty
from holdfast.runs.history import TakenRun
from holdfast.runs.journal import JOURNAL_SCHEMA
from holdfast.runs.lines import BeginLine, ProjectLine, SourceLine
from holdfast.runs.naming import parse_run_folder, run_folder, sanitise_action, timestamp_of
from holdfast.runs.writer import RunWriter

if TYPE_CHECKING:
    from holdfast.runs.history import ProjectHistory
    from holdfast.runs.model import Project, Source
    from holdfast.runs.writer import Desk

ACTION_TEXT = 200
INSTRUCTIONS_BYTES = 1024 * 1024
_TRIES = 1000


def open_run(
    desk: Desk,
    project: Project,
    history: ProjectHistory,
    action: str,
    *,
    author: str,
    since: int,
    source: Source | None = None,
    inputs: Iterable[str] = (),
    instructions: str | None = None,
) -> RunWriter:
    """A new run of `project`; on return it survives a power loss.

    Raises:
        Invalid: an action, a source or instructions that cannot be one.
    """
    folder_action = sanitise_action(action)
    if len(action) > ACTION_TEXT:
        raise Invalid("beginning the run", repr(action[:40]), found=f"{len(action)} characters")
    inputs = list(inputs)
    for item in inputs:
        if not is_input(item):
            raise Invalid(
                "beginning the run with the input",
                repr(item),
                expected="commit:<logseq>, asl1:<hash id>:<hex> or sha256:<hex>",
            )
    texts = (author, instructions, *((source.kind, source.url, source.commit) if source else ()))
    for text in texts:
        if text is not None and any("\ud800" <= c <= "\udfff" for c in text):
            raise Invalid("beginning the run", repr(text)[:80], found="a lone surrogate")
    if instructions is not None and len(instructions.encode()) > INSTRUCTIONS_BYTES:
        raise Invalid("beginning the run", "instructions", found="more than 1 MiB")
    run_id = desk.ids.uuid4()
    held = desk.finisher.liveness.hold(run_id)
    try:
        with history.locked():
            now = desk.clock.now_ns()
            timestamp = timestamp_of(now)
            run_dir, sequence = _claim(desk, history, timestamp, folder_action, run_id)
            begin = BeginLine(
                action=action,
                author=author,
                created=rfc3339(now),
                inputs=inputs,
                instructions=instructions,
                nonce=desk.ids.token(16),
                project=ProjectLine(folder=project.folder, id=project.id, name=project.name),
                run_id=run_id,
                schema=JOURNAL_SCHEMA,
                sequence=sequence,
                source=None
                if source is None
                else SourceLine(commit=source.commit, kind=source.kind, url=source.url),
                timestamp=timestamp,
            )
            run = TakenRun(run_dir)
            try:
                if instructions is not None:
                    desk.store.put(f"{run_dir}/{INSTRUCTIONS}", instructions.encode())
                history.append(run, begin=begin)
            except HoldfastError:
                with contextlib.suppress(HoldfastError):
                    _withdraw(desk, run_dir, instructions is not None)
                raise
    except BaseException:
        held.close()
        raise
    return RunWriter(desk, project, history, run, held=held, since=since)


def _withdraw(desk: Desk, run_dir: str, instructed: bool) -> None:
    desk.finisher.journals.drop(run_dir)
    if instructed:
        desk.store.delete(f"{run_dir}/{INSTRUCTIONS}")
    desk.store.delete(f"{run_dir}/{CLAIM}")
    remove_empty(desk.store, run_dir)


def _claim(
    desk: Desk, history: ProjectHistory, timestamp: str, action: str, run_id: str
) -> tuple[str, int]:
    """(key of the new run folder, sequence): no two runs of a project share a (timestamp,
    sequence), whatever their actions."""
    sequence = 0
    for _ in range(_TRIES):
        sequence = max(sequence, _highest(history, timestamp)) + 1
        run_dir = f"{history.folder}/{run_folder(timestamp, sequence, action)}"
        claim = f"{run_dir}/{CLAIM}"
        try:
            desk.store.put(claim, f"{run_id}\n".encode())
        except PathExists:
            continue
        if desk.store.leases is not None or not _contested(desk, history, timestamp, sequence):
            return run_dir, sequence
        # Without leases a run of another action may have taken the number at the same moment:
        # whoever sees the other steps back, both do at worst.
        desk.store.delete(claim)
        sequence += desk.ids.u64() % 5
    raise Invalid("beginning the run", history.name, found="no free sequence number")


def _highest(history: ProjectHistory, timestamp: str) -> int:
    found = (parse_run_folder(name) for name in history.store_names())
    return max((f.sequence for f in found if f and f.timestamp == timestamp), default=0)


def _contested(desk: Desk, history: ProjectHistory, timestamp: str, sequence: int) -> bool:
    same = [
        name
        for name in history.store_names()
        if (found := parse_run_folder(name)) and found[:2] == (timestamp, sequence)
    ]
    return sum(desk.store.exists(f"{history.folder}/{name}/{CLAIM}") for name in same) > 1
