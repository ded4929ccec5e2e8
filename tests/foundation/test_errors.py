"""The error tree: stable codes, one-line messages, exit codes, mapping of system errors."""

from __future__ import annotations

import errno
import pickle

import pytest

from holdfast import errors
from holdfast.errors import ExitCode, HoldfastError, from_oserror

CODES = {
    "invalid": 2,
    "invalid_path": 2,
    "schema_violation": 2,
    "overlapping_blocks": 2,
    "manifest_invalid": 2,
    "not_found": 3,
    "no_snapshots": 3,
    "range_missing": 3,
    "already_exists": 4,
    "path_exists": 4,
    "conflict": 4,
    "snapshot_conflict": 4,
    "integrity": 5,
    "invalid_format": 5,
    "storage_failure": 6,
    "no_space": 6,
    "busy": 7,
    "unsupported": 8,
    "denied": 9,
}


def classes() -> list[type[HoldfastError]]:
    found: list[type[HoldfastError]] = []
    todo: list[type[HoldfastError]] = [HoldfastError]
    while todo:
        for child in todo.pop().__subclasses__():
            if child.__module__ == errors.__name__:
                found.append(child)
                todo.append(child)
    return found


def test_codes_are_unique_and_none_has_changed() -> None:
    found = {cls.code: int(cls.exit_code) for cls in classes()}
    assert len(found) == len(classes())
    assert CODES.items() <= found.items()


def test_a_message_says_what_where_what_was_found_and_what_to_do() -> None:
    error = errors.Integrity(
        "reading the log", "log/1.asl", found="a wrong hash", expected="abc", offset=24, hint="stop"
    )
    assert str(error) == (
        "reading the log log/1.asl at offset 24: a wrong hash (expected abc); stop"
    )


def test_a_message_is_one_line_whatever_the_names_hold() -> None:
    error = errors.NotFound("opening", "a\nb\x1b[31m\udcff")
    assert str(error).isprintable()
    assert "\\n" in str(error)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, errors.NoSpace),
        (errno.EDQUOT, errors.NoSpace),
        (errno.EIO, errors.StorageFailure),
        (errno.EMFILE, errors.StorageFailure),
        (errno.EACCES, errors.Denied),
        (errno.EROFS, errors.Denied),
        (errno.ENOENT, errors.NotFound),
        (errno.ENAMETOOLONG, errors.InvalidPath),
    ],
)
def test_system_errors_become_typed_ones(number: int, kind: type[HoldfastError]) -> None:
    error = from_oserror(OSError(number, "text"), "writing", "x")
    assert type(error) is kind
    assert error.details["errno"] == errno.errorcode[number]


def test_errors_survive_pickling_between_processes() -> None:
    error = errors.Busy("waiting for", "lease", found="held by pid 1", holder="pid 1")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is errors.Busy
    assert str(again) == str(error)
    assert again.details == {"holder": "pid 1"}


def test_exit_codes_are_the_documented_ones() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0,
        "INTERNAL": 1,
        "USAGE": 2,
        "NOT_FOUND": 3,
        "CONFLICT": 4,
        "INTEGRITY": 5,
        "STORAGE": 6,
        "BUSY": 7,
        "UNSUPPORTED": 8,
        "DENIED": 9,
        "NAMED_FAILURES": 10,
        "INTERRUPTED": 130,
    }


def test_the_json_form_has_the_facts() -> None:
    value = errors.NoSpace("writing", "x", found="full", errno="ENOSPC").to_json()
    assert value["code"] == "no_space"
    assert value["target"] == "x"
    assert value["details"] == {"errno": "ENOSPC"}
