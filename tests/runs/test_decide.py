from __future__ import annotations

import pytest

from holdfast.runs.decide import Content, Decision, Known, becomes_removed, decide
from holdfast.runs.model import Outcome

A, B = Content("file", "a" * 64), Content("file", "b" * 64)
CURRENT_A = Known("1", A, processed=True)
UNPROCESSED_A = Known("1", A, processed=False)
CURRENT_B = Known("2", B, processed=True)

TABLE = [
    ("a path never seen", (A, None, None), False, Decision(Outcome.NEW_FILE)),
    ("the same bytes", (A, CURRENT_A, None), True, Decision(Outcome.DUPLICATE, same=CURRENT_A)),
    (
        "the same bytes, never processed",
        (A, UNPROCESSED_A, None),
        True,
        Decision(Outcome.PROCESSED_AGAIN, same=UNPROCESSED_A),
    ),
    (
        "other bytes",
        (B, CURRENT_A, None),
        True,
        Decision(Outcome.NEW_VERSION, supersedes=CURRENT_A),
    ),
    (
        "A, then B, then A again",
        (A, CURRENT_B, CURRENT_A),
        True,
        Decision(Outcome.NEW_VERSION, reuse=CURRENT_A, supersedes=CURRENT_B),
    ),
    (
        "removed, then back with the same bytes",
        (A, None, CURRENT_A),
        True,
        Decision(Outcome.NEW_VERSION, reuse=CURRENT_A),
    ),
    ("removed, then back with other bytes", (B, None, None), True, Decision(Outcome.NEW_VERSION)),
    ("not readable", (None, CURRENT_A, None), True, Decision(Outcome.FAILED)),
    (
        "a file that became a symlink",
        (Content("symlink", None, b"t"), CURRENT_A, None),
        True,
        Decision(Outcome.NEW_VERSION, supersedes=CURRENT_A),
    ),
]


@pytest.mark.parametrize(
    ("given", "seen", "outcome"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_the_decision_table_holds(given, seen, outcome):
    assert decide(*given, seen=seen) == outcome


def removed(path=b"d/f", **changed):
    facts = {
        "last_source": "s",
        "source": "s",
        "last_order": 1,
        "begin_order": 2,
        "unread": frozenset(),
    }
    return becomes_removed(path, **{**facts, **changed})


def test_a_path_of_the_same_source_that_is_absent_becomes_removed():
    assert removed()


@pytest.mark.parametrize(
    "changed",
    [
        {"last_source": "other"},
        {"last_source": None},
        {"last_order": 3},
        {"unread": frozenset({b"d"})},
        {"unread": frozenset({b"d/f"})},
        {"unread": frozenset({b""})},
    ],
    ids=["other source", "no source", "seen since", "folder unread", "file unread", "root unread"],
)
def test_nothing_is_concluded_about_what_was_not_looked_at(changed):
    assert not removed(**changed)


def test_an_unread_folder_says_nothing_about_names_that_only_begin_alike():
    assert removed(b"dd/f", unread=frozenset({b"d"}))
