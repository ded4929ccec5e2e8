"""Many requests at once: a bounded pool of threads, and the batch over it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Self

from holdfast.errors import HoldfastError, Invalid

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Buffer

    from holdfast.store.protocol import Writer


class Pool:
    """A pool whose queue is bounded too: `submit` waits while twice as many calls as threads are
    under way, so that bodies do not pile up in memory. Threads start with the first call."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._executor: ThreadPoolExecutor | None = None
        self._lock = Lock()
        self._room = BoundedSemaphore(2 * workers)

    def submit(self, call: Callable[[], None]) -> Future[None]:
        self._room.acquire()
        try:
            with self._lock:
                if self._executor is None:
                    self._executor = ThreadPoolExecutor(
                        self._workers, thread_name_prefix="holdfast-objects"
                    )
                future = self._executor.submit(call)
        except BaseException:
            self._room.release()
            raise
        future.add_done_callback(lambda _: self._room.release())
        return future

    def close(self) -> None:
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True)


class Calls:
    """Calls of one caller in a pool, of which the first error counts. Safe from threads."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lock = Lock()
        self._running: set[Future[None]] = set()
        self._error: BaseException | None = None

    def submit(self, call: Callable[[], None]) -> None:
        """Start `call` as soon as there is room. Raises the error of an earlier one."""
        self.check()
        future = self._pool.submit(call)
        with self._lock:
            self._running.add(future)
        future.add_done_callback(self._ended)

    def wait(self) -> None:
        """Wait for all calls."""
        while True:
            with self._lock:
                running = list(self._running)
            if not running:
                return
            for future in running:
                future.exception()

    def check(self) -> None:
        """Raise the first error, if there was one."""
        with self._lock:
            error = self._error
        if error is not None:
            raise error

    def _ended(self, future: Future[None]) -> None:
        error = future.exception()
        with self._lock:
            if error is not None and self._error is None:
                self._error = error
            self._running.discard(future)


class ObjectBatch:
    """New objects that can be taken back (`holdfast.store.protocol.Batch`).

    There is no sync to share: each object is whole and durable when its own `put` returns. Callers
    that put from many threads have as many requests under way.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        create: Callable[[str, Buffer], None],
        delete: Callable[[str], None],
        writer: Callable[[str, str | None, Callable[[str], None]], Writer],
    ) -> None:
        self._pool = pool
        self._create = create
        self._delete = delete
        self._writer = writer
        self._lock = Lock()
        self._created: set[str] = set()
        self._aborted = False

    def put(self, path: str, data: Buffer) -> None:
        """Create `path`, durable on return. Raises `PathExists`."""
        self._check_usable()
        self._create(path, data)
        self._done(path)

    def open_writer(self, path: str, *, staging: str | None = None) -> Writer:
        """A stream into `path`, durable when its `close` returns."""
        self._check_usable()
        return self._writer(path, staging, self._done)

    def commit(self) -> None:
        """Keep what was created since the last `commit`; the batch can be used on."""
        self._check_usable()
        with self._lock:
            self._created.clear()

    def abort(self) -> None:
        """Remove what was created since the last `commit`, as far as that can be done."""
        with self._lock:
            self._aborted = True
            created = sorted(self._created)
            self._created.clear()
        calls = Calls(self._pool)
        for path in created:
            calls.submit(lambda path=path: self._remove(path))  # type: ignore[misc]
        calls.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abort()

    def _done(self, path: str) -> None:
        with self._lock:
            if not self._aborted:
                self._created.add(path)
                return
        self._remove(path)  # it was under way when the batch was aborted

    def _remove(self, path: str) -> None:
        try:
            self._delete(path)
        except HoldfastError:
            return

    def _check_usable(self) -> None:
        if self._aborted:
            raise Invalid("using a batch", found="it was aborted", hint="open a new one")
