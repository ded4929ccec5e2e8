"""Checking a local pool in several processes. Run as a program, it is one of them.

Each reads lines of JSON, ``[root, prefix, two digits]``, and answers each with one line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from holdfast.errors import StorageFailure
from holdfast.functions.layout import Layout
from holdfast.functions.validate import Part, check_part
from holdfast.records import Finding, Severity
from holdfast.store.filesystem import FileSystemStore

if TYPE_CHECKING:
    from holdfast.store.protocol import Store


def check_in_processes(
    store: Store, layout: Layout, names: Sequence[str], jobs: int
) -> Iterator[Part]:
    """The parts of `names`, checked by `jobs` processes, in no order."""
    assert isinstance(store, FileSystemStore)
    waiting: SimpleQueue[str] = SimpleQueue()
    for name in names:
        waiting.put(name)
    done: SimpleQueue[Part | None] = SimpleQueue()
    root = store.root

    def work() -> None:
        try:
            with _Process() as process:
                while True:
                    try:
                        name = waiting.get_nowait()
                    except Empty:
                        return
                    done.put(process.check(root, layout.prefix, name))
        finally:
            done.put(None)

    with ThreadPoolExecutor(jobs, thread_name_prefix="validate") as pool:
        futures = [pool.submit(work) for _ in range(jobs)]
        ended = 0
        while ended < jobs:
            part = done.get()
            if part is None:
                ended += 1
            else:
                yield part
        for future in futures:
            future.result()


class _Process:
    """One process of this program."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "holdfast.functions.processes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="ascii",
            env=_environment(),
        )

    def check(self, root: str, prefix: str, two: str) -> Part:
        """Have one part checked."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps([root, prefix, two]) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise StorageFailure(
                "validating", f"{root}/{prefix}", found="a process that ended", hint="try again"
            )
        return _part(json.loads(line))

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def _environment() -> dict[str, str]:
    """This process's environment, with the modules found as this process finds them."""
    import os

    return os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def _part(value: dict[str, Any]) -> Part:
    findings = [Finding(**f | {"severity": Severity(f["severity"])}) for f in value["findings"]]
    return Part(**value | {"findings": findings})


def main() -> None:
    """Answer the lines of standard input until it ends."""
    import gc

    # Trees of code are freed as they come; looking for circles in them takes a tenth of the time.
    gc.disable()
    stores: dict[str, FileSystemStore] = {}
    for line in sys.stdin:
        root, prefix, two = json.loads(line)
        if root not in stores:
            # The parent has opened it already, and declared it safe where that was needed.
            stores[root] = FileSystemStore(root, read_only=True, network_file_system_is_safe=True)
        part = check_part(stores[root], Layout(prefix), two)
        sys.stdout.write(json.dumps(asdict(part)) + "\n")
        sys.stdout.flush()
        gc.collect()


if __name__ == "__main__":
    main()
