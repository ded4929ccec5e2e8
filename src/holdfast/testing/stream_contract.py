"""The parts of the store contract that are about files in the making: streams into new files, files
that get their names last, batches. `holdfast.testing.store_contract` has the whole suite."""

from __future__ import annotations

import pytest

from holdfast.errors import Conflict, Invalid, InvalidPath, PathExists
from holdfast.store.protocol import Store
from holdfast.testing.threads import in_threads


class WriterContract:
    """Streams into new files."""

    def test_a_file_is_invisible_until_its_writer_is_closed(self, store: Store) -> None:
        writer = store.open_writer("a/b")
        writer.write(b"some ")
        assert not store.exists("a/b")
        assert list(store.list()) == []
        writer.write(memoryview(b"bytes"))
        writer.close()
        assert store.get("a/b") == b"some bytes"

    def test_the_end_of_a_with_block_closes(self, store: Store) -> None:
        with store.open_writer("a") as writer:
            writer.write(bytearray(b"x"))
        assert store.get("a") == b"x"

    def test_an_exception_in_a_with_block_aborts(self, store: Store) -> None:
        def stream() -> None:
            with store.open_writer("a") as writer:
                writer.write(b"x")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            stream()
        assert not store.exists("a")
        assert list(store.list()) == []

    def test_an_aborted_writer_leaves_nothing(self, store: Store) -> None:
        writer = store.open_writer("a")
        writer.write(b"x")
        writer.abort()
        writer.abort()
        assert list(store.list()) == []
        store.put("a", b"free")

    def test_a_writer_closed_without_a_write_makes_an_empty_file(self, store: Store) -> None:
        store.open_writer("a").close()
        assert store.get("a") == b""

    def test_closing_twice_and_aborting_after_close_do_nothing(self, store: Store) -> None:
        writer = store.open_writer("a")
        writer.write(b"x")
        writer.close()
        writer.close()
        writer.abort()
        assert store.get("a") == b"x"

    def test_a_closed_or_aborted_writer_takes_no_more(self, store: Store) -> None:
        closed, aborted = store.open_writer("a"), store.open_writer("b")
        closed.close()
        aborted.abort()
        for writer in (closed, aborted):
            with pytest.raises(Invalid):
                writer.write(b"x")
        with pytest.raises(Invalid):
            aborted.close()

    def test_a_writer_to_an_existing_path_is_refused(self, store: Store) -> None:
        store.put("a", b"old")
        with pytest.raises(PathExists), store.open_writer("a") as writer:
            writer.write(b"new")
        assert store.get("a") == b"old"

    def test_of_two_writers_to_one_path_the_first_to_close_wins(self, store: Store) -> None:
        one, two = store.open_writer("a"), store.open_writer("a")
        one.write(b"one")
        two.write(b"two")
        two.close()
        with pytest.raises(PathExists):
            one.close()
        assert store.get("a") == b"two"
        assert [e.path for e in store.list()] == ["a"]

    def test_exactly_one_of_many_threads_closes_a_path(self, store: Store) -> None:
        def work(i: int) -> None:
            with store.open_writer("race") as writer:
                for _ in range(10):
                    writer.write(b"%d" % i * 100)

        results = in_threads(6, work)
        assert results.count(None) == 1
        assert store.get("race") == b"%d" % results.index(None) * 1000

    def test_a_long_stream_comes_back(self, store: Store) -> None:
        part = bytes(range(256)) * 1024
        with store.open_writer("long", staging="staging") as writer:
            for _ in range(24):
                writer.write(part)
        assert store.size("long") == 24 * len(part)
        assert store.get("long") == part * 24
        assert [e.path for e in store.list()] == ["long"]

    def test_a_hostile_staging_folder_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidPath):
            store.open_writer("a", staging="../outside")


class StagedContract:
    """Files that get their names last."""

    def test_a_staged_file_is_invisible_until_it_is_published(self, store: Store) -> None:
        with store.stage("a") as staged:
            staged.write(b"some ")
            staged.write(memoryview(b"bytes"))
            staged.prepare()
            assert list(store.list()) == []
            staged.publish("a/b/c")
        assert store.get("a/b/c") == b"some bytes"
        assert [e.path for e in store.list()] == ["a/b/c"]

    def test_a_staged_file_that_is_closed_leaves_nothing(self, store: Store) -> None:
        staged = store.stage("a")
        staged.write(b"x")
        staged.close()
        staged.close()
        assert list(store.list()) == []
        with pytest.raises(Invalid):
            staged.publish("a/b")

    def test_a_prepared_file_takes_no_more_where_it_is_durable(self, store: Store) -> None:
        with store.stage("a") as staged:
            staged.write(b"x")
            staged.prepare()
            staged.publish("a/x")
        assert store.get("a/x") == b"x"

    def test_publishing_over_an_existing_path_is_refused(self, store: Store) -> None:
        store.put("a", b"old")
        with store.stage("b") as staged:
            staged.write(b"new")
            with pytest.raises(PathExists):
                staged.publish("a")
        assert store.get("a") == b"old"
        assert [e.path for e in store.list()] == ["a"]

    @pytest.mark.parametrize("count", [0, 1, 3, 20])
    def test_many_staged_files_are_published_together(self, store: Store, count: int) -> None:
        items = []
        for i in range(count):
            staged = store.stage("a")
            staged.write(b"%d" % i)
            items.append((staged, f"d{i % 4}/e/{i}"))
        store.publish_many(items)
        for staged, _ in items:
            staged.close()
        assert {e.path for e in store.list()} == {path for _, path in items}
        assert all(store.get(path) == b"%d" % i for i, (_, path) in enumerate(items))

    def test_a_taken_path_among_many_is_refused(self, store: Store) -> None:
        store.put("d/5", b"old")
        items = []
        for i in range(10):
            staged = store.stage("a")
            staged.write(b"new")
            items.append((staged, f"d/{i}"))
        with pytest.raises(PathExists):
            store.publish_many(items)
        for staged, _ in items:
            staged.close()
        assert store.get("d/5") == b"old"
        assert all(store.get(e.path) in (b"old", b"new") for e in store.list())

    def test_a_long_staged_stream_comes_back(self, store: Store) -> None:
        part = bytes(range(256)) * 1024
        with store.stage("staging") as staged:
            for _ in range(24):
                staged.write(part)
            staged.publish("long")
        assert store.get("long") == part * 24
        assert [e.path for e in store.list()] == ["long"]

    def test_a_staged_file_takes_the_place_of_another(self, store: Store) -> None:
        for expected, content in ((None, b"one"), (b"one", b"two")):
            with store.stage("a") as staged:
                staged.write(content)
                store.publish_many((), along=(staged,))
                store.swap_staged("a/b", expected, staged)
            assert store.get("a/b") == content
        assert [e.path for e in store.list()] == ["a/b"]

    @pytest.mark.parametrize("expected", [None, b"another"])
    def test_a_staged_file_is_swapped_for_what_is_expected_only(
        self, store: Store, expected: bytes | None
    ) -> None:
        store.put("a/b", b"one")
        with store.stage("a") as staged:
            staged.write(b"two")
            with pytest.raises(Conflict):
                store.swap_staged("a/b", expected, staged)
        with store.stage("a") as staged, pytest.raises(Conflict):
            store.swap_staged("a/c", b"something", staged)
        assert store.get("a/b") == b"one"
        assert [e.path for e in store.list()] == ["a/b"]

    def test_a_hostile_path_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidPath):
            store.stage("../outside")
        with store.stage("a") as staged, pytest.raises(InvalidPath):
            staged.publish("../outside")


class BatchContract:
    """Batches."""

    def test_a_committed_batch_is_there(self, store: Store) -> None:
        with store.batch() as batch:
            for i in range(50):
                batch.put(f"d{i % 5}/{i}", b"%d" % i)
            with batch.open_writer("stream") as writer:
                writer.write(b"streamed")
            batch.commit()
        assert store.get("stream") == b"streamed"
        assert all(store.get(f"d{i % 5}/{i}") == b"%d" % i for i in range(50))

    def test_an_existing_path_in_a_batch_is_refused(self, store: Store) -> None:
        store.put("a", b"old")
        with store.batch() as batch:
            with pytest.raises(PathExists):
                batch.put("a", b"new")
            with pytest.raises(PathExists), batch.open_writer("a") as writer:
                writer.write(b"new")
            batch.put("b", b"")
            batch.commit()
        assert store.get("a") == b"old"
        assert store.exists("b")

    def test_a_batch_left_without_commit_is_removed(self, store: Store) -> None:
        with store.batch() as batch:
            batch.put("a/b", b"")
            batch.open_writer("c").close()
        assert list(store.list()) == []

    def test_an_exception_in_a_batch_removes_what_was_not_committed(self, store: Store) -> None:
        def work() -> None:
            with store.batch() as batch:
                batch.put("kept", b"")
                batch.commit()
                batch.put("dropped", b"")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            work()
        assert [e.path for e in store.list()] == ["kept"]

    def test_a_batch_can_be_used_after_a_commit(self, store: Store) -> None:
        with store.batch() as batch:
            batch.commit()
            batch.put("a", b"1")
            batch.commit()
            batch.put("b", b"2")
            batch.commit()
        assert (store.get("a"), store.get("b")) == (b"1", b"2")

    def test_an_aborted_batch_takes_no_more(self, store: Store) -> None:
        batch = store.batch()
        batch.put("a", b"")
        batch.abort()
        batch.abort()
        with pytest.raises(Invalid):
            batch.put("b", b"")
        with pytest.raises(Invalid):
            batch.commit()
        assert list(store.list()) == []

    def test_an_aborted_writer_of_a_batch_leaves_nothing(self, store: Store) -> None:
        with store.batch() as batch:
            writer = batch.open_writer("a")
            writer.write(b"x")
            writer.abort()
            batch.commit()
        assert list(store.list()) == []

    def test_threads_share_a_batch(self, store: Store) -> None:
        with store.batch() as batch:

            def work(i: int) -> None:
                for j in range(25):
                    batch.put(f"d{j % 4}/{i}-{j}", b"%d" % (i * j))

            assert in_threads(4, work) == [None] * 4
            batch.commit()
        assert len(list(store.list())) == 100
        assert store.get("d0/3-24") == b"72"

    def test_exactly_one_of_many_threads_puts_a_path_into_a_batch(self, store: Store) -> None:
        with store.batch() as batch:
            results = in_threads(6, lambda i: batch.put("race", b"%d" % i * 500))
            batch.commit()
        assert results.count(None) == 1
        assert store.get("race") == b"%d" % results.index(None) * 500
