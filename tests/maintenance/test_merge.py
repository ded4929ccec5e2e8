"""Iterators in threads of their own, merged."""

import threading

import pytest

from holdfast.maintenance.merge import merged


def test_everything_comes_out_once():
    parts = [iter(range(5000)), iter(range(5000, 9000)), iter(())]
    assert sorted(merged(parts)) == list(range(9000))


def test_an_exception_in_one_part_is_raised_and_ends_the_others():
    def fails():
        yield 1
        raise ValueError("here")

    def endless():
        while True:
            yield 0

    with pytest.raises(ValueError, match="here"):
        for _ in merged([fails(), endless()]):
            pass
    assert not [t for t in threading.enumerate() if t.name == "holdfast-check"]


def test_closing_it_early_ends_the_threads():
    def endless():
        while True:
            yield 0

    result = merged([endless(), endless()])
    next(result)
    result.close()
    assert not [t for t in threading.enumerate() if t.name == "holdfast-check"]
