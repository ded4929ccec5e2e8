"""Streams into one new object, invisible until closed well, in constant memory.

Up to one part the body is one conditional put. Beyond, it is staged as the endpoint's abilities
ask for (`object_probe.Publish`), and published create-only up to `LARGEST` bytes: no way of
writing more than that with a condition is common to the servers, so more is refused.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, Protocol, Self

from holdfast.errors import (
    HoldfastError,
    Invalid,
    PathExists,
    StorageFailure,
    Unsupported,
    from_oserror,
)
from holdfast.store.object_client import make_client
from holdfast.store.object_probe import COPY_BY_HEADER, COPY_BY_PARTS, Publish
from holdfast.store.object_requests import Lost, Requests
from holdfast.store.object_retry import attempt
from holdfast.store.object_settle import TOKEN_BYTES, settle_create, write_tokens

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Buffer

PART = 8 * 1024 * 1024
"""Bytes of one part of a multipart upload."""

IN_FLIGHT = 4
"""Parts under way at once."""

LARGEST = 5 * 1024**3
"""Bytes of the largest single put or copy in S3."""


class Stage(Protocol):
    """Where the bytes of a large body wait until they are published."""

    def write(self, data: memoryview) -> None: ...

    def publish(self, key: str, size: int) -> None:
        """Make the body visible as `key`. Raises `Lost` when another's object is there."""

    def drop(self) -> None:
        """Forget the bytes, as far as that can be done; idempotent."""


class SpoolStage:
    """An unnamed local file, sent as one conditional put from mapped memory."""

    def __init__(self, requests: Requests, folder: str | None) -> None:
        self._requests = requests
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        except OSError as error:
            raise from_oserror(error, "spooling for", requests.location.url) from None

    def write(self, data: memoryview) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise from_oserror(error, "spooling for", self._requests.location.url) from None

    def publish(self, key: str, size: int) -> None:
        requests = self._requests
        client = make_client(requests.location, requests.settings, transfer=size)
        try:
            self._file.flush()
            body = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ)
        except OSError as error:
            raise from_oserror(error, "spooling for", requests.target(key)) from None
        # not closed by hand: obstore may still hold the memory when an error is under way
        requests.create(key, body, client=client)

    def drop(self) -> None:
        self._file.close()


class PartStage:
    """A multipart upload to a hidden key beside the path, then a create-only copy."""

    def __init__(self, requests: Requests, staged: str, publish: Publish, part: int) -> None:
        self._requests = requests
        self._staged = staged
        self._publish = publish
        self._token = requests.ids.token(TOKEN_BYTES)
        self._part = part
        self._upload: Any = None
        self._completed = False

    def write(self, data: memoryview) -> None:
        if self._upload is None:
            self._upload = self._open()
        reply = attempt(lambda: self._upload.write(data))
        if reply is not None:
            raise reply.error("uploading a part of", self._requests.target(self._staged))

    def publish(self, key: str, size: int) -> None:
        requests = self._requests
        if not self._completed:
            reply = attempt(self._upload.close)
            if reply is not None:
                raise reply.error("finishing the upload of", requests.target(key))
            self._completed = True
        found = requests.version(self._staged)
        if found is None or found.size != size:
            raise StorageFailure(
                "finishing the upload of",
                requests.target(key),
                found="nothing" if found is None else f"{found.size} bytes",
                expected=f"{size} bytes",
            )
        way = ""
        if requests.location.scheme == "s3":
            way = COPY_BY_HEADER if self._publish is Publish.COPY else COPY_BY_PARTS
        client = make_client(
            requests.location, requests.settings, transfer=size, copy_if_not_exists=way
        )
        bare = size if self._publish is Publish.PARTS else None
        requests.settle(
            "publishing",
            key,
            lambda: client.copy(self._staged, key, overwrite=False),
            lambda found, unclear: settle_create(
                found, self._token, unclear=unclear, bare_size=bare
            ),
        )

    def drop(self) -> None:
        if self._upload is None:
            return
        if not self._completed:
            # obstore has no abort: completing and removing frees the parts all the same
            attempt(self._upload.close)
        self._upload = None
        self._requests.discard(self._staged)

    def _open(self) -> Any:
        import obstore

        attributes: Any = write_tokens(self._token)
        return obstore.open_writer(
            self._requests.patient,
            self._staged,
            attributes=attributes,
            buffer_size=self._part,
            max_concurrency=IN_FLIGHT,
        )


class ObjectStaged:
    """An object that gets its name last (`holdfast.store.protocol.Staged`).

    Up to one part it waits in memory, beyond that where `stage` puts it. It can be published
    several times, until it is closed.

    Args:
        create: puts a small body at a path, create-only; raises `PathExists`.
        stage: where a large body goes.
        key: the key of a path.
        name: what to call it in messages, before it has a path.
    """

    def __init__(
        self,
        *,
        create: Callable[[str, bytes], None],
        stage: Callable[[], Stage],
        key: Callable[[str], str],
        name: str,
        part: int = PART,
        largest: int = LARGEST,
    ) -> None:
        self._create = create
        self._make_stage = stage
        self._key = key
        self._name = name
        self._part = part
        self._largest = largest
        self._buffer = bytearray()
        self._stage: Stage | None = None
        self._size = 0
        self._state = "open"

    def write(self, data: Buffer) -> None:
        """Append `data`.

        Raises:
            Unsupported: more than the largest body that can be published create-only.
            StorageFailure, Denied, NoSpace: the upload, or the local spool file, failed.
        """
        self.check_open("writing to")
        view = memoryview(data)
        view = view.cast("B") if view.contiguous else memoryview(view.tobytes())
        self._state = "failed"
        if self._size + len(view) > self._largest:
            self._drop()
            raise Unsupported(
                "writing to",
                self._name,
                found=f"more than {self._largest} bytes",
                expected=f"at most {self._largest}: what object stores write create-only",
                hint="store it in smaller pieces, or in a repository on a file system",
            )
        self._size += len(view)
        if self._stage is None and self._size > self._part:
            self._stage = self._make_stage()
            self._stage.write(memoryview(self._buffer))
            self._buffer = bytearray()
        if self._stage is None:
            self._buffer += view
        else:
            for start in range(0, len(view), self._part):
                self._stage.write(view[start : start + self._part])
        self._state = "open"

    def prepare(self) -> None:
        """Nothing is durable before it is published."""
        self.check_open("preparing")

    def publish(self, path: str) -> None:
        """Publish the object, durable on return. Raises `PathExists` when it lost the race; it can
        be published under another name then."""
        self.check_open("publishing")
        key = self._key(path)
        self._state = "failed"
        try:
            if self._stage is None:
                self._create(path, bytes(self._buffer))
            else:
                self._stage.publish(key, self._size)
        except PathExists:
            self._state = "open"  # the bytes are as they were: another name may be free
            raise
        except Lost:
            self._state = "open"
            raise PathExists("creating", path, found="another file is there") from None
        self._state = "open"

    def body(self) -> bytes:
        """What waits in memory.

        Raises:
            Unsupported: it is more than one part, and waits elsewhere.
        """
        self.check_open("reading")
        if self._stage is not None:
            raise Unsupported("reading", self._name, found=f"more than {self._part} bytes")
        return bytes(self._buffer)

    def close(self) -> None:
        """Drop what waits; idempotent. What was published stays."""
        self._state = "closed"
        self._drop()

    def check_open(self, doing: str) -> None:
        """Raises `Invalid` after an error, or when it was closed."""
        if self._state != "open":
            raise Invalid(
                doing, self._name, found=f"a writer that is {self._state}", hint="open a new one"
            )

    def _drop(self) -> None:
        self._buffer = bytearray()
        stage, self._stage = self._stage, None
        if stage is not None:
            try:
                stage.drop()
            except HoldfastError:
                return  # hidden, and swept with the other temporary objects

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class ObjectWriter:
    """The writer of one object (`holdfast.store.protocol.Writer`).

    Args:
        staged: takes the bytes.
        done: called with the path once it is published.
    """

    def __init__(self, path: str, staged: ObjectStaged, *, done: Callable[[str], None]) -> None:
        self._path = path
        self._staged = staged
        self._done = done
        self._state = "open"

    def write(self, data: Buffer) -> None:
        """Append `data`. Raises as `ObjectStaged.write`."""
        self._check_open("writing to")
        self._staged.write(data)

    def close(self) -> None:
        """Publish the object. Raises `PathExists` when it lost the race."""
        if self._state == "closed":
            return
        self._check_open("closing")
        self._staged.check_open("closing")
        self._state = "failed"
        try:
            self._staged.publish(self._path)
        finally:
            self._staged.close()
        self._state = "closed"
        self._done(self._path)

    def abort(self) -> None:
        """Drop what was written; does nothing after `close`."""
        if self._state != "closed":
            self._state = "aborted"
        self._staged.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _check_open(self, doing: str) -> None:
        if self._state != "open":
            raise Invalid(
                doing, self._path, found=f"a writer that is {self._state}", hint="open a new one"
            )
