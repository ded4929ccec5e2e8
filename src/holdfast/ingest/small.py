"""A small file: read it so that it can be believed; and the worker process that takes many.

A file is believed when the same open file has the same size, times and inode before and after it
was read. The kernel's clock for file times only ticks every few milliseconds: a file touched within
the present tick could change again without a trace, so it is read in a later one.

Imports the standard library only, and little of it: a worker process is this module alone and is
there within 15 ms (docs/decisions/0510). It takes the plain case; whatever else happens to a file
it leaves to the process that sent it, which takes that file again.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import stat
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _socket import socket

SMALL = 1 << 20
"""Files up to this size, in bytes, are read whole."""
WORKER_SIZE = (64 << 10) - 1
"""The largest file that a worker takes: longer ones may share their bytes with another."""

HELLO = b"\x01"
LENGTH = 4
"""Bytes of a message's length, big-endian, before it."""

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_UNTOUCHED = _FLAGS | getattr(os, "O_NOATIME", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_COARSE = getattr(time, "CLOCK_REALTIME_COARSE", time.CLOCK_REALTIME)

Read = Callable[[int, int], bytes]
"""Reads from a descriptor, as `os.read`."""

Asked = tuple[int, bytes, bytes, bytes]
"""(number of the folder in the message, name in it, path to create, SHA-256s that need no file)."""
Answer = tuple[bytes, int, int, int, bool]
"""(SHA-256, size, permission bits, mtime in ns, whether the file was created)."""


class Changed(Exception):
    """The file is not what it was when it was opened."""


def open_source(name: bytes, folder: int) -> int:
    """A descriptor of `name` in the open `folder`. Raises `OSError`, ELOOP for a symlink."""
    try:
        return os.open(name, _UNTOUCHED, dir_fd=folder)
    except PermissionError:
        if _UNTOUCHED == _FLAGS:
            raise
        # Only the owner may leave the access time alone.
        return os.open(name, _FLAGS, dir_fd=folder)


def settled(fd: int) -> os.stat_result:
    """The file's status in a tick after its last change, or after half a second: a clock of
    another machine, or a file that changes all the time."""
    found = os.fstat(fd)
    if found.st_ctime_ns >= time.clock_gettime_ns(_COARSE):
        for _ in range(100):
            time.sleep(0.005)
            found = os.fstat(fd)
            if found.st_ctime_ns < time.clock_gettime_ns(_COARSE):
                break
    return found


def read_whole(fd: int, before: os.stat_result, read: Read = os.read) -> bytes:
    """All bytes of the file, which was `before` when it was opened. Raises `Changed`, `OSError`."""
    size = before.st_size
    # One byte more than there should be: a file that grew shows at once.
    data = read(fd, size + 1)
    while len(data) < size:
        piece = read(fd, size + 1 - len(data))
        if not piece:
            break
        data += piece
    if len(data) != size:
        raise Changed
    check_unchanged(fd, before)
    return data


def check_unchanged(fd: int, before: os.stat_result) -> None:
    """Raises `Changed` when the file is not what it was `before`."""
    after = os.fstat(fd)
    if (
        after.st_ctime_ns != before.st_ctime_ns
        or after.st_mtime_ns != before.st_mtime_ns
        or after.st_size != before.st_size
        or after.st_ino != before.st_ino
    ):
        raise Changed


def take(folder: int, name: bytes, target: bytes, known: bytes) -> Answer | None:
    """Read `name` and create `target` with its bytes, unless `known` has their SHA-256.

    Returns:
        None for anything but a small regular file that stays quiet and can be written; `target` is
        not there then, unless it was before.
    """
    try:
        fd = open_source(name, folder)
        try:
            before = settled(fd)
            if not stat.S_ISREG(before.st_mode) or before.st_size > WORKER_SIZE:
                return None
            data = read_whole(fd, before)
        finally:
            os.close(fd)
        digest = hashlib.sha256(data).digest()
        new = not known or all(known[at : at + 32] != digest for at in range(0, len(known), 32))
        if new:
            _create(target, data)
    except (OSError, Changed):
        return None
    return digest, before.st_size, stat.S_IMODE(before.st_mode), before.st_mtime_ns, new


def _create(path: bytes, data: bytes) -> None:
    fd = os.open(path, _CREATE, 0o666)
    try:
        try:
            written = os.write(fd, data)
            while written < len(data):
                written += os.write(fd, data[written:])
        finally:
            os.close(fd)
    except BaseException:
        os.unlink(path)
        raise


def main(descriptor: int = 0) -> None:
    """A worker: answer messages on the socket `descriptor` until it is closed at the other end, or
    the process there is gone."""
    import _signal  # type: ignore[import-not-found]  # signal's own import takes longer
    import _socket

    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    serve(_socket.socket(fileno=descriptor))


def serve(channel: socket) -> None:
    """Answer messages: how many folders, a list of `Asked`; their descriptors come along."""
    parent = os.getppid()
    # Others may hold the other end open (a fork of our parent): look for it once a second.
    channel.settimeout(1.0)
    data = bytearray()
    folders: list[int] = []
    answer = HELLO
    while _send(channel, answer, parent):
        while len(data) < LENGTH or len(data) < LENGTH + int.from_bytes(data[:LENGTH], "big"):
            if not _receive(channel, data, folders, parent):
                return
        end = LENGTH + int.from_bytes(data[:LENGTH], "big")
        number, asked = marshal.loads(data[LENGTH:end])  # noqa: S302 - from our own parent
        del data[:end]
        answers: list[Answer | None] = []
        for folder, name, target, known in asked:
            if os.getppid() != parent:
                return
            answers.append(take(folders[folder], name, target, known))
        for fd in folders[:number]:
            os.close(fd)
        del folders[:number]
        answer = marshal.dumps(answers)
        answer = len(answer).to_bytes(LENGTH, "big") + answer


def _send(channel: socket, data: bytes, parent: int) -> bool:
    """Whether it could be sent."""
    while data:
        try:
            data = data[channel.send(data) :]
        except TimeoutError:
            if os.getppid() != parent:
                return False
        except OSError:
            return False
    return True


def _receive(channel: socket, data: bytearray, folders: list[int], parent: int) -> bool:
    """Whether something more came: bytes, and descriptors."""
    from _socket import CMSG_SPACE, MSG_CTRUNC

    while True:
        try:
            piece, ancillary, flags, _ = channel.recvmsg(1 << 16, CMSG_SPACE(4 * 64))
            break
        except TimeoutError:
            if os.getppid() != parent:
                return False
        except OSError:
            return False
    for _, _, numbers in ancillary:
        for at in range(0, len(numbers) // 4 * 4, 4):
            folders.append(int.from_bytes(numbers[at : at + 4], sys.byteorder))
    data += piece
    return bool(piece) and not flags & MSG_CTRUNC
