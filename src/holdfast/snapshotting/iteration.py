"""The iterators that reading hands out (spec/datasets.md §2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

T = TypeVar("T")


class Iteration(Iterator[T], Generic[T]):
    """Yields what `source` yields.

    `close` is idempotent and lets go of what the source holds; as a context manager it closes.
    After `close`, and after an error, it stops: an error is raised once. For one thread.
    """

    def __init__(self, source: Iterator[T]) -> None:
        self._source: Iterator[T] | None = source

    def __next__(self) -> T:
        if self._source is None:
            raise StopIteration
        try:
            return next(self._source)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End here."""
        source, self._source = self._source, None
        close = getattr(source, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
