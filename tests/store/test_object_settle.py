"""Who won, judged from tokens."""

from __future__ import annotations

import pytest

from holdfast.store.object_settle import (
    HISTORY,
    METADATA_KEY,
    Verdict,
    Version,
    read_tokens,
    settle_create,
    settle_swap,
    write_tokens,
)

MINE = "f" * 16


def tokens(*numbers: int) -> tuple[str, ...]:
    return tuple(f"{n:016x}" for n in numbers)


def version(*numbers: int, tag: str = "tag", size: int = 3) -> Version:
    return Version(tag, None, tokens(*numbers), size)


def test_tokens_are_written_newest_first_and_read_back() -> None:
    assert read_tokens(write_tokens(MINE, tokens(2, 1))) == (MINE, *tokens(2, 1))


def test_the_history_is_bounded_and_fits_into_metadata() -> None:
    written = write_tokens(MINE, tokens(*range(1000)))
    assert read_tokens(written) == (MINE, *tokens(*range(HISTORY - 1)))
    assert len(written[METADATA_KEY]) + len(METADATA_KEY) < 1024


@pytest.mark.parametrize("text", ["", "x", "0" * 15, "0" * 16 + ",", "0" * 16 + "\n", "É" * 16])
def test_foreign_metadata_is_no_token(text: str) -> None:
    assert read_tokens({METADATA_KEY: text}) == ()
    assert read_tokens({}) == ()


@pytest.mark.parametrize("unclear", [False, True])
def test_a_create_is_judged_by_the_token_that_is_there(unclear: bool) -> None:
    assert settle_create(None, MINE, unclear=unclear) is Verdict.UNCHANGED
    assert settle_create(version(1), MINE, unclear=unclear) is Verdict.LOST
    assert settle_create(version(), MINE, unclear=unclear) is Verdict.LOST
    ours = Version("tag", None, (*tokens(1), MINE), 3)
    assert settle_create(ours, MINE, unclear=unclear) is Verdict.OURS


def test_a_create_is_unknown_when_the_first_versions_are_no_longer_named() -> None:
    old = version(*range(HISTORY))
    assert settle_create(old, MINE, unclear=True) is Verdict.UNKNOWN
    assert settle_create(old, MINE, unclear=False) is Verdict.LOST


def test_an_object_without_a_token_may_be_ours_only_if_ours_has_none_and_its_size() -> None:
    bare = version(size=7)
    assert settle_create(bare, MINE, unclear=True, bare_size=7) is Verdict.UNKNOWN
    assert settle_create(bare, MINE, unclear=True, bare_size=8) is Verdict.LOST
    assert settle_create(bare, MINE, unclear=False, bare_size=7) is Verdict.LOST
    assert settle_create(bare, MINE, unclear=True) is Verdict.LOST


@pytest.mark.parametrize("unclear", [False, True])
def test_a_swap_is_ours_however_deep_its_token_lies(unclear: bool) -> None:
    found = Version("new", None, (*tokens(9, 8), MINE, *tokens(1)), 3)
    assert settle_swap(version(1), found, MINE, unclear=unclear) is Verdict.OURS


@pytest.mark.parametrize("unclear", [False, True])
def test_a_swap_is_lost_when_the_line_from_its_base_goes_on_without_it(unclear: bool) -> None:
    found = version(3, 2, 1, tag="new")
    assert settle_swap(version(2, 1), found, MINE, unclear=unclear) is Verdict.LOST


@pytest.mark.parametrize("unclear", [False, True])
def test_a_swap_may_be_sent_again_while_its_base_is_there(unclear: bool) -> None:
    assert settle_swap(version(1), version(1), MINE, unclear=unclear) is Verdict.UNCHANGED


def test_a_swap_is_unknown_when_the_line_from_its_base_is_broken() -> None:
    base = version(1)
    for found in (None, version(9, tag="new"), version(tag="new")):
        assert settle_swap(base, found, MINE, unclear=True) is Verdict.UNKNOWN
        assert settle_swap(base, found, MINE, unclear=False) is Verdict.LOST


def test_the_same_content_written_by_another_is_not_the_base() -> None:
    # the tag of many servers is a digest of the content: the tokens tell the versions apart
    assert settle_swap(version(1), version(2, 1), MINE, unclear=True) is Verdict.LOST
