"""The suite that every store passes.

A project with a store of its own inherits it::

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self):
            with closing(MyStore(...)) as store:
                yield store

Every test gets an empty store. The classes hold one side of the contract each and may be inherited
alone; `StoreContract` is all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from holdfast.errors import AlreadyExists, Conflict, Invalid, InvalidPath, NotFound, PathExists
from holdfast.store.protocol import Entry, Store
from holdfast.testing.stream_contract import BatchContract, StagedContract, WriterContract
from holdfast.testing.threads import in_threads

HOSTILE_PATHS = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "./a",
    "../a",
    "a/../b",
    "a/..",
    "a/./b",
    "a\0b",
    "a\\b",
    "a/\ud800",
    ".hf-0123456789abcdef",
    "a/.hf-x/b",
    "x" * 256,
    "é" * 128,
    "locks/a",
    "locks",
]
KIND_PATHS = [
    "a",
    "a b",
    "a/b/c/d/e/f",
    "...",
    ".hidden",
    "a..b/..c",
    "-",
    "~",
    "%41",
    "#?&=+;:@$,'\"<>|*",
    "new\nline",
    "tab\t",
    "日本/ファイル",
    "é",
    "e\u0301",
    "\U0001f600",
    "x" * 255,
    "é" * 127,
    "a/locks/b",
    "locks-not",
    "/".join("abcdefghij" * 4),
]


class PathContract:
    """Which paths a store takes."""

    takes_control_characters = True
    """False where the service below knows no such names: they are refused then."""

    @pytest.mark.parametrize("path", HOSTILE_PATHS, ids=ascii)
    def test_every_method_refuses_a_hostile_path(self, store: Store, path: str) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: store.put(path, b""),
            lambda: store.put_many([(path, b"")]),
            lambda: store.get(path),
            lambda: store.read_range(path, 0, 1),
            lambda: store.size(path),
            lambda: store.exists(path),
            lambda: store.delete(path),
            lambda: store.compare_and_swap(path, None, b""),
            lambda: store.open_writer(path),
            lambda: store.batch().put(path, b""),
            lambda: store.batch().open_writer(path),
        ]
        if path not in ("", "locks"):
            calls += [lambda: list(store.list(path)), lambda: store.children(path)]
        for call in calls:
            with pytest.raises(InvalidPath):
                call()
        assert list(store.list()) == []

    @pytest.mark.parametrize("path", KIND_PATHS, ids=ascii)
    def test_an_unusual_path_keeps_its_bytes(self, store: Store, path: str) -> None:
        if not self.takes_control_characters and any(c < " " for c in path):
            with pytest.raises(InvalidPath):
                store.put(path, b"")
            return
        store.put(path, path.encode())
        assert store.get(path) == path.encode()
        assert list(store.list()) == [Entry(path, len(path.encode()))]

    def test_names_that_differ_in_normal_form_are_two_files(self, store: Store) -> None:
        store.put("é", b"one")
        store.put("e\u0301", b"two")
        assert (store.get("é"), store.get("e\u0301")) == (b"one", b"two")

    def test_a_path_of_another_type_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidPath):
            store.get(b"a")  # type: ignore[arg-type]

    def test_the_folder_of_locks_is_never_listed(self, store: Store) -> None:
        if store.leases is not None:
            store.leases.acquire("x").close()
        assert list(store.list()) == []
        assert list(store.list("locks")) == []
        assert store.children() == ([], [])
        assert store.children("locks") == ([], [])


class CreateContract:
    """Files are made once."""

    @pytest.mark.parametrize("data", [b"", b"x", b"\0\xff\n", bytes(range(256)) * 40])
    def test_what_was_put_comes_back(self, store: Store, data: bytes) -> None:
        store.put("a/b", data)
        assert store.get("a/b") == data
        assert store.size("a/b") == len(data)
        assert store.exists("a/b")

    def test_five_megabytes_come_back(self, store: Store) -> None:
        data = bytes(range(251)) * 20_000
        store.put("large", data)
        assert store.get("large") == data

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_any_buffer_can_be_put(self, store: Store, kind: Callable[[bytes], Any]) -> None:
        store.put("a", kind(b"some bytes"))
        assert store.get("a") == b"some bytes"

    def test_a_buffer_changed_after_put_changes_nothing(self, store: Store) -> None:
        data = bytearray(b"before")
        store.put("a", data)
        data[:] = b"after!"
        assert store.get("a") == b"before"

    def test_a_memoryview_of_numbers_is_put_as_its_bytes(self, store: Store) -> None:
        store.put("a", memoryview(b"abcdefgh").cast("I"))
        assert store.get("a") == b"abcdefgh"

    def test_a_second_put_is_refused_and_changes_nothing(self, store: Store) -> None:
        store.put("a", b"first")
        with pytest.raises(PathExists) as caught:
            store.put("a", b"second")
        assert store.get("a") == b"first"
        assert "a" in str(caught.value)

    def test_a_second_put_of_the_same_bytes_is_refused_too(self, store: Store) -> None:
        store.put("a", b"same")
        with pytest.raises(PathExists):
            store.put("a", b"same")

    def test_exactly_one_of_many_threads_creates_a_path(self, store: Store) -> None:
        results = in_threads(8, lambda i: store.put("race", b"%d" % i * 1000))
        winners = [i for i, result in enumerate(results) if result is None]
        assert len(winners) == 1
        assert all(isinstance(r, AlreadyExists) for r in results if r is not None)
        assert store.get("race") == b"%d" % winners[0] * 1000

    def test_threads_put_different_files_into_one_new_folder(self, store: Store) -> None:
        assert in_threads(8, lambda i: store.put(f"new/deep/{i}", b"%d" % i)) == [None] * 8
        assert [e.path for e in store.list()] == [f"new/deep/{i}" for i in range(8)]

    def test_a_deleted_path_can_be_put_again(self, store: Store) -> None:
        store.put("a/b", b"first")
        store.delete("a/b")
        store.put("a/b", b"second")
        assert store.get("a/b") == b"second"


class PutManyContract:
    """Many files at once."""

    @pytest.mark.parametrize("count", [0, 1, 3, 40, 300])
    def test_all_files_of_put_many_come_back(self, store: Store, count: int) -> None:
        items = [(f"d{i % 3}/f{i:03}", b"%d" % i) for i in range(count)]
        store.put_many(iter(items))
        assert {e.path: store.get(e.path) for e in store.list()} == dict(items)

    def test_a_taken_path_in_put_many_is_refused_and_every_file_is_whole(
        self, store: Store
    ) -> None:
        store.put("f5", b"old")
        with pytest.raises(PathExists):
            store.put_many([(f"f{i}", b"new" * 100) for i in range(10)])
        assert store.get("f5") == b"old"
        for entry in store.list():
            assert store.get(entry.path) in (b"old", b"new" * 100)

    def test_a_path_twice_in_put_many_is_refused(self, store: Store) -> None:
        with pytest.raises(PathExists):
            store.put_many([("a", b"1"), ("a", b"2")])

    def test_an_iterable_that_fails_leaves_whole_files_only(self, store: Store) -> None:
        def items() -> Iterator[tuple[str, bytes]]:
            for i in range(200):
                yield f"f{i}", b"whole"
            raise RuntimeError("no more")

        with pytest.raises(RuntimeError, match="no more"):
            store.put_many(items())
        assert all(store.get(entry.path) == b"whole" for entry in store.list())


class ReadContract:
    """Reading, whole and in part."""

    @pytest.mark.parametrize("path", ["nothing", "no/such/folder/file", "folder", "file/below"])
    def test_what_is_not_there_is_not_found(self, store: Store, path: str) -> None:
        store.put("folder/x", b"")
        store.put("file", b"")
        for call in (store.get, store.size, lambda p: store.read_range(p, 0, 1)):
            with pytest.raises(NotFound) as caught:
                call(path)
            assert path in str(caught.value)
        assert not store.exists(path)

    @pytest.mark.parametrize(
        ("offset", "length", "expected"),
        [
            (0, 10, b"0123456789"),
            (0, 3, b"012"),
            (3, 4, b"3456"),
            (9, 1, b"9"),
            (8, 100, b"89"),
            (10, 1, b""),
            (1000, 5, b""),
            (4, 0, b""),
            (0, 2**40, b"0123456789"),
            (2**40, 2**40, b""),
        ],
    )
    def test_a_range_is_short_at_the_end_and_empty_beyond(
        self, store: Store, offset: int, length: int, expected: bytes
    ) -> None:
        store.put("a", b"0123456789")
        assert store.read_range("a", offset, length) == expected

    def test_a_range_of_an_empty_file_is_empty(self, store: Store) -> None:
        store.put("a", b"")
        assert store.read_range("a", 0, 10) == b""
        assert store.read_range("a", 5, 10) == b""

    def test_a_range_in_the_middle_of_a_large_file(self, store: Store) -> None:
        data = bytes(range(251)) * 10_000
        store.put("a", data)
        assert store.read_range("a", 1_234_567, 89_012) == data[1_234_567 : 1_234_567 + 89_012]

    @pytest.mark.parametrize(("offset", "length"), [(-1, 1), (0, -1), (-5, -5)])
    def test_a_negative_range_is_refused(self, store: Store, offset: int, length: int) -> None:
        store.put("a", b"0123456789")
        with pytest.raises(Invalid):
            store.read_range("a", offset, length)

    def test_threads_read_while_others_write(self, store: Store) -> None:
        store.put("a", b"x" * 10_000)

        def work(i: int) -> bool:
            if i % 2:
                store.put(f"b/{i}", b"y" * 1000)
                return store.get(f"b/{i}") == b"y" * 1000
            return store.get("a") == b"x" * 10_000

        assert in_threads(8, work) == [True] * 8


class ListContract:
    """What is listed, and in which order."""

    def test_an_empty_store_lists_nothing(self, store: Store) -> None:
        assert list(store.list()) == []
        assert store.children() == ([], [])

    def test_a_folder_that_is_not_there_has_no_files(self, store: Store) -> None:
        store.put("a/b", b"")
        assert list(store.list("no/such")) == []
        assert store.children("no/such") == ([], [])

    def test_a_file_is_no_folder_with_files(self, store: Store) -> None:
        store.put("a/b", b"")
        assert list(store.list("a/b")) == []

    def test_files_are_listed_by_the_bytes_of_their_whole_path(self, store: Store) -> None:
        paths = ["a-b", "a/b", "a/b-c/d", "a/b.c", "a0", "B", "a b/c", "ab/c", "é", "z", "日", "a!"]
        paths += ["a/b-c/\U0001f600", "a/b-c/\uffee", "ab!/x", "ab/"[:2] + "-/y"]
        for path in paths:
            store.put(path, b"")
        listed = [entry.path for entry in store.list()]
        assert listed == sorted(paths, key=str.encode)

    def test_entries_bear_their_sizes(self, store: Store) -> None:
        store.put("a", b"")
        store.put("b/c", b"x" * 77)
        assert list(store.list()) == [Entry("a", 0), Entry("b/c", 77)]

    def test_a_folder_is_listed_by_whole_components(self, store: Store) -> None:
        for path in ("ab/x", "a/x", "a/y/z", "a-b/x", "a.txt"):
            store.put(path, b"")
        assert [e.path for e in store.list("a")] == ["a/x", "a/y/z"]
        assert [e.path for e in store.list("a/y")] == ["a/y/z"]

    def test_children_are_folders_and_files_of_one_level(self, store: Store) -> None:
        for path in ("a/x/1", "a/x-/2", "a/w", "a/z", "b/1", "c"):
            store.put(path, b"12")
        assert store.children() == (["a", "b"], [Entry("c", 2)])
        assert store.children("a") == (["x", "x-"], [Entry("a/w", 2), Entry("a/z", 2)])

    def test_many_files_are_all_listed(self, store: Store) -> None:
        paths = [f"d{i % 7}/f{i:04}" for i in range(1200)]
        store.put_many((path, b"") for path in paths)
        assert [e.path for e in store.list()] == sorted(paths)

    def test_files_put_or_deleted_while_listing_do_no_harm(self, store: Store) -> None:
        for i in range(20):
            store.put(f"d{i:02}/f", b"")
        seen = []
        for i, entry in enumerate(store.list()):
            seen.append(entry.path)
            store.put(f"new{i}", b"")
            if i == 3:
                store.delete("d10/f")
        assert {f"d{i:02}/f" for i in range(20) if i != 10} <= set(seen)


class DeleteContract:
    """Deleting."""

    def test_a_deleted_file_is_gone(self, store: Store) -> None:
        store.put("a/b", b"")
        store.put("a/c", b"")
        store.delete("a/b")
        assert not store.exists("a/b")
        assert [e.path for e in store.list()] == ["a/c"]
        with pytest.raises(NotFound):
            store.get("a/b")

    @pytest.mark.parametrize("path", ["nothing", "no/such/file", "folder", "file/below"])
    def test_deleting_what_is_not_there_does_nothing(self, store: Store, path: str) -> None:
        store.put("folder/x", b"")
        store.put("file", b"")
        store.delete(path)
        store.delete(path)
        assert [e.path for e in store.list()] == ["file", "folder/x"]


class SwapContract:
    """Compare and swap."""

    contenders = 4
    increments = 5

    def test_a_swap_from_nothing_creates(self, store: Store) -> None:
        store.compare_and_swap("a/b", None, b"1")
        assert store.get("a/b") == b"1"

    def test_a_swap_from_the_present_bytes_replaces(self, store: Store) -> None:
        store.put("a", b"1")
        store.compare_and_swap("a", b"1", b"22")
        store.compare_and_swap("a", b"22", b"")
        store.compare_and_swap("a", b"", b"3")
        assert store.get("a") == b"3"

    @pytest.mark.parametrize("expected", [None, b"", b"other", b"now and more"])
    def test_a_swap_from_other_bytes_is_a_conflict(
        self, store: Store, expected: bytes | None
    ) -> None:
        store.put("a", b"now")
        with pytest.raises(Conflict):
            store.compare_and_swap("a", expected, b"new")
        assert store.get("a") == b"now"

    @pytest.mark.parametrize("path", ["a", "no/folder/a"])
    def test_a_swap_of_what_is_not_there_is_a_conflict(self, store: Store, path: str) -> None:
        with pytest.raises(Conflict):
            store.compare_and_swap(path, b"something", b"new")
        assert not store.exists(path)

    def test_a_counter_that_threads_raise_by_swaps_is_exact(self, store: Store) -> None:
        store.put("counter", b"0")

        def work(_: int) -> None:
            done = 0
            while done < self.increments:
                now = store.get("counter")
                try:
                    store.compare_and_swap("counter", now, b"%d" % (int(now) + 1))
                except Conflict:
                    continue
                done += 1

        assert in_threads(self.contenders, work) == [None] * self.contenders
        assert int(store.get("counter")) == self.contenders * self.increments

    def test_exactly_one_thread_swaps_from_nothing(self, store: Store) -> None:
        results = in_threads(6, lambda i: store.compare_and_swap("a", None, b"%d" % i))
        assert results.count(None) == 1
        assert all(isinstance(r, Conflict) for r in results if r is not None)
        assert store.get("a") == b"%d" % results.index(None)

    def test_a_reader_sees_old_or_new_bytes_never_a_mixture(self, store: Store) -> None:
        old, new = b"o" * 20_000, b"n" * 30_000
        store.put("a", old)

        def work(i: int) -> bool:
            if i == 0:
                store.compare_and_swap("a", old, new)
                return True
            return all(store.get("a") in (old, new) for _ in range(10))

        assert in_threads(4, work) == [True] * 4


class StoreContract(
    PathContract,
    CreateContract,
    PutManyContract,
    ReadContract,
    ListContract,
    DeleteContract,
    SwapContract,
    WriterContract,
    StagedContract,
    BatchContract,
):
    """All of it."""

    def test_a_store_has_a_name_for_messages(self, store: Store) -> None:
        assert isinstance(store.url, str)
        assert store.url

    def test_a_store_is_one(self, store: Store) -> None:
        assert isinstance(store, Store)

    def test_closing_twice_does_nothing(self, store: Store) -> None:
        store.close()
        store.close()


__all__ = [
    "HOSTILE_PATHS",
    "KIND_PATHS",
    "BatchContract",
    "CreateContract",
    "DeleteContract",
    "ListContract",
    "PathContract",
    "PutManyContract",
    "ReadContract",
    "StagedContract",
    "StoreContract",
    "SwapContract",
    "WriterContract",
    "in_threads",
]
