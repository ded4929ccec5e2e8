"""Adding many sources: while one part is written, the next is normalised."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TYPE_CHECKING

from holdfast.functions.model import Added
from holdfast.functions.writing import Addition

if TYPE_CHECKING:
    from holdfast.functions.planning import Planned, Source
    from holdfast.functions.pool import FunctionPool

Part = list[tuple["Source", "Planned"]]
_AT_ONCE = 500
"""Functions that one batch writes, and one COMMIT fixes."""
_FEW = 32
"""Up to this many sources are looked up in normal form 1 without asking whether any is there."""


def add_parts(
    sources: Iterable[Source],
    plan: Callable[[Source, bool], Part],
    write: Callable[[Part], list[Added]],
    has_form_1: Callable[[], bool],
) -> list[Added]:
    """Plan every source and write what was planned, in parts; the answers in order.

    An error of `plan` or `write` ends it: what was acknowledged before it stays, and a part that
    is being written comes to its end.
    """
    waiting = iter(sources)
    first = list(islice(waiting, _FEW + 1))
    look = len(first) <= _FEW or has_form_1()
    parts = _parts(p for item in chain(first, waiting) for p in plan(item, look))
    if len(first) <= _FEW:
        return [added for part in parts for added in write(part)]
    out: list[Added] = []
    with ThreadPoolExecutor(1, thread_name_prefix="functions") as pool:
        running: Future[list[Added]] | None = None
        for part in parts:
            if running is not None:
                out += running.result()
            running = pool.submit(write, part)
        if running is not None:
            out += running.result()
    return out


def _parts(items: Iterator[tuple[Source, Planned]]) -> Iterator[Part]:
    while part := list(islice(items, _AT_ONCE)):
        yield part


def write_part(pool: FunctionPool, part: Part, author: str, message: str) -> list[Added]:
    """Write what was planned, with one COMMIT; the answers in order."""
    additions: dict[str, Addition] = {}
    mappings = []
    for item, planned in part:
        addition = additions.setdefault(planned.object.hash, Addition(planned.object))
        mappings.append(addition.add(item.language, planned.mapping))
    written, logseq = pool.write(list(additions.values()), message, author=author)
    new = {path for w in written for path in w.new}
    out = []
    for (item, planned), mapping_hash in zip(part, mappings, strict=True):
        hash = planned.object.hash
        paths = (
            pool.layout.object(hash),
            pool.layout.mapping(hash, item.language, mapping_hash),
        )
        out.append(
            Added(
                hash,
                mapping_hash,
                item.language,
                planned.function.name,
                planned.object.normal_form,
                paths[0] in new,
                paths[1] in new,
                logseq,
            )
        )
        new.difference_update(paths)  # a second time in the same part it is there already
    return out
