"""Several iterators at once, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from queue import Full, Queue
from typing import TypeVar

T = TypeVar("T")
_WAITING = 1024
_DONE = object()


def merged(parts: Sequence[Iterator[T]]) -> Iterator[T]:
    """What `parts` yield, in the order in which it comes. Bounded memory; an exception of one part
    ends all and is raised here. Closing the result ends the parts."""
    queue: Queue[object] = Queue(_WAITING)
    stop = threading.Event()

    def put(item: object) -> None:
        while not stop.is_set():
            try:
                queue.put(item, timeout=0.1)
                return
            except Full:
                continue

    def run(part: Iterator[T]) -> None:
        try:
            for item in part:
                put(item)
                if stop.is_set():
                    break
            put(_DONE)
        except BaseException as error:
            put(_Raised(error))

    threads = [threading.Thread(target=run, args=(p,), name="holdfast-check") for p in parts]
    for thread in threads:
        thread.start()
    left = len(threads)
    try:
        while left:
            item = queue.get()
            if item is _DONE:
                left -= 1
            elif isinstance(item, _Raised):
                raise item.error
            else:
                yield item  # type: ignore[misc]
    finally:
        stop.set()
        for thread in threads:
            thread.join()


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error
