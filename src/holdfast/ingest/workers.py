"""Worker processes that take small files: `holdfast.ingest.small`, seen from the process that
walks (docs/decisions/0510)."""

from __future__ import annotations

import marshal
import os
import select
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from holdfast.ingest.small import HELLO, LENGTH

if TYPE_CHECKING:
    from holdfast.ingest.small import Answer, Asked

Job = TypeVar("Job")

FOLDER = os.path.dirname(os.path.abspath(__file__))
PROGRAM = f"import sys; sys.path.append({FOLDER!r}); import small; small.main()"
_PATIENCE = 5.0
"""Seconds that a worker has for its end, once it is told."""


class _Worker(Generic[Job]):
    def __init__(self, lease: int) -> None:
        """Start it. Raises `OSError`."""
        self.channel, other = socket.socketpair()
        try:
            # Spawned, never forked: this process may have threads. Alone (-I -S) it starts fast
            # and nobody's settings change what it does.
            self.process = subprocess.Popen(  # noqa: S603 - this very Python
                [sys.executable, "-I", "-S", "-c", PROGRAM],
                stdin=other.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(lease,),
            )
        except BaseException:
            self.channel.close()
            raise
        finally:
            other.close()
        self.channel.setblocking(False)
        self.ready = False
        self.jobs: deque[Job] = deque()
        self._out: deque[tuple[memoryview, bytes]] = deque()
        self._in = bytearray()

    @property
    def events(self) -> int:
        return select.POLLIN | (select.POLLOUT if self._out else 0)

    def give(self, job: Job, message: bytes, folders: bytes) -> None:
        self.jobs.append(job)
        self._out.append((memoryview(message), folders))

    def send(self) -> None:
        """Send what the channel takes. Raises `OSError` when the worker is gone."""
        while self._out:
            data, folders = self._out[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, folders)] if folders else []
            try:
                sent = self.channel.sendmsg([data], rights)
            except BlockingIOError:
                return
            if sent == len(data):
                self._out.popleft()
            else:
                self._out[0] = (data[sent:], b"")

    def receive(self) -> list[tuple[Job, list[Answer | None]]]:
        """What came in whole. Raises `OSError` when the worker is gone."""
        try:
            piece = self.channel.recv(1 << 18)
        except BlockingIOError:
            return []
        if not piece:
            raise ConnectionResetError
        if not self.ready:
            piece = piece[len(HELLO) :]
            self.ready = True
        data = self._in
        data += piece
        answers = []
        while len(data) >= LENGTH:
            end = LENGTH + int.from_bytes(data[:LENGTH], "big")
            if len(data) < end:
                break
            answers.append((self.jobs.popleft(), marshal.loads(data[LENGTH:end])))  # noqa: S302
            del data[:end]
        return answers

    def end(self, *, kill: bool) -> None:
        self.channel.close()
        if kill:
            self.process.kill()
        try:
            self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Workers(Generic[Job]):
    """Worker processes, and the jobs that they have. For one thread.

    Args:
        number: how many to start.
        lease: a descriptor that each of them keeps open.

    Raises:
        OSError: they cannot be started.
    """

    def __init__(self, number: int, lease: int) -> None:
        self._workers: list[_Worker[Job]] = []
        try:
            for _ in range(number):
                self._workers.append(_Worker(lease))
        except BaseException:
            self.kill()
            raise

    @staticmethod
    def possible() -> bool:
        """Whether `sys.executable` is a Python that can be a worker: it is something else in an
        application that embeds or freezes Python."""
        name = os.path.basename(sys.executable or "")
        return name.startswith(("python", "pypy")) and not getattr(sys, "frozen", False)

    @property
    def alive(self) -> bool:
        """Whether any is left, started or starting."""
        return bool(self._workers)

    @property
    def ready(self) -> bool:
        """Whether any can be given a job now."""
        return any(worker.ready for worker in self._workers)

    def jobs(self) -> list[Job]:
        """What was given and not answered."""
        return [job for worker in self._workers for job in worker.jobs]

    def give(self, job: Job, asked: list[Asked], folders: Sequence[int]) -> None:
        """Give `asked` to the one that has the least to do; only when `ready`. The descriptors
        `folders` must stay open until it is answered."""
        worker = min((w for w in self._workers if w.ready), key=lambda w: len(w.jobs))
        message = marshal.dumps((len(folders), asked))
        rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in folders)
        worker.give(job, len(message).to_bytes(LENGTH, "big") + message, rights)
        # A worker that is gone is noticed by the next `answers`.
        try:
            worker.send()
        except OSError:
            return

    def answers(self, timeout: float) -> list[tuple[Job, list[Answer | None] | None]]:
        """What was answered, waiting at most `timeout` seconds for the first; None for a job whose
        worker is dead: it may have been done in part."""
        poll = select.poll()
        by_fd = {worker.channel.fileno(): worker for worker in self._workers}
        for fd, worker in by_fd.items():
            poll.register(fd, worker.events)
        found: list[tuple[Job, list[Answer | None] | None]] = []
        for fd, events in poll.poll(timeout * 1000):
            worker = by_fd[fd]
            try:
                if events & select.POLLOUT:
                    worker.send()
                if events & ~select.POLLOUT:
                    found += worker.receive()
            except OSError:
                self._workers.remove(worker)
                worker.end(kill=True)
                found += [(job, None) for job in worker.jobs]
        return found

    def close(self) -> None:
        """End them, when all is answered."""
        self._end(kill=False)

    def kill(self) -> None:
        """End them at once, whatever they do; they are gone on return."""
        self._end(kill=True)

    def _end(self, *, kill: bool) -> None:
        workers, self._workers = self._workers, []
        for worker in workers:
            # One that has not even said that it is there need not say good-bye.
            worker.end(kill=kill or not worker.ready)
