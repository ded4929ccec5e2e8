"""A store on S3, Google Cloud Storage or Azure Blob Storage (docs/guide/object-stores.md).

Create-only is ``If-None-Match: *``, compare-and-swap is ``If-Match``; what the endpoint does not
respect is refused with `Unsupported`, never pretended. An object is durable when the server has
acknowledged it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from holdfast.clock import Ids, SystemIds
from holdfast.errors import Conflict, HoldfastError, Invalid, NotFound, PathExists, Unsupported
from holdfast.records import GcReport
from holdfast.store.object_batch import Calls, ObjectBatch, Pool
from holdfast.store.object_client import Settings
from holdfast.store.object_probe import Abilities, Probe, Publish, only_on
from holdfast.store.object_reply import Meaning, read_reply
from holdfast.store.object_requests import Lost, Requests
from holdfast.store.object_retry import Refused, Retries, ask, obstore_errors
from holdfast.store.object_url import is_temporary, parse_url
from holdfast.store.object_writer import (
    PART,
    ObjectStaged,
    ObjectWriter,
    PartStage,
    SpoolStage,
    Stage,
)
from holdfast.store.paths import check_folder, is_listed_name
from holdfast.store.protocol import Entry, Staged

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Buffer

PAGE = 1000
"""Objects taken from a listing at a time."""

STALE_AFTER = 24 * 3600
"""Seconds after which a temporary object has no living writer: it is staged for one server-side
copy only, whose time-outs and retries together stay far below."""


class ObjectStore:
    """A `holdfast.store.protocol.Store` on an object store.

    Args:
        url: ``s3://bucket/prefix``, ``gs://bucket/prefix`` or ``az://container/prefix``; the
            bucket has to exist. Only S3 is tested.
        endpoint, region, access_key_id, secret_access_key, session_token: instead of the
            environment's AWS_ENDPOINT_URL, AWS_REGION (default us-east-1), AWS_ACCESS_KEY_ID,
            AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
        config: further settings of obstore for the scheme.
        timeout: seconds for one request with its body; transfers of large bodies get more.
        retries: how often and how long to try again.
        workers: threads of `put_many` and of batches.
        part_size: bytes from which on a stream is staged, and of one part (S3: at least 5 MiB).
        spool_folder: where large bodies wait on endpoints that need that; default the system's.
        abilities: what the endpoint does, known before: no probes are made.
    """

    def __init__(
        self,
        url: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
        session_token: str | None = None,
        config: dict[str, Any] | None = None,
        timeout: float = 300.0,
        retries: Retries | None = None,
        workers: int = 16,
        part_size: int = PART,
        spool_folder: str | None = None,
        abilities: Abilities | None = None,
        ids: Ids | None = None,
    ) -> None:
        self._location = parse_url(url)
        given = {
            "endpoint": endpoint,
            "region": region,
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
            "session_token": session_token,
        }
        settings = Settings(
            timeout,
            retries or Retries(),
            {**{k: v for k, v in given.items() if v is not None}, **(config or {})},
        )
        self._requests = Requests(self._location, settings, ids or SystemIds())
        self._probe = Probe(self._requests, abilities)
        self._pool = Pool(workers)
        self._part_size = part_size
        self._spool_folder = spool_folder

    @property
    def url(self) -> str:
        """``scheme://bucket/prefix``, without secrets."""
        return self._location.url

    @property
    def leases(self) -> None:
        """Object stores have none (spec/ledger.md §11)."""
        return

    def __repr__(self) -> str:
        return f"ObjectStore({self.url!r})"

    def abilities(self) -> Abilities:
        """What the endpoint does, probed once. Raises `Unsupported` without create-only."""
        return self._probe.abilities()

    def put(self, path: str, data: Buffer) -> None:
        """Create `path`, durable on return. Raises `PathExists`, under a race too."""
        key = self._location.key(path)
        self._probe.require_create()
        try:
            self._requests.create(key, _body(data))
        except Lost:
            raise PathExists("creating", path, found="another file is there") from None

    def put_many(self, items: Iterable[tuple[str, Buffer]]) -> None:
        """As `put` for each item, side by side. On an error some of the files may exist."""
        calls = Calls(self._pool)
        try:
            for path, data in items:
                self._location.key(path)
                calls.submit(lambda path=path, body=bytes(data): self.put(path, body))  # type: ignore[misc]
        finally:
            calls.wait()
        calls.check()

    def get(self, path: str) -> bytes:
        """All bytes. Raises `NotFound`."""
        return self._requests.read(self._location.key(path))[0]

    def read_range(self, path: str, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on, and nothing else is transferred.

        Raises:
            NotFound, Invalid: no such file; a negative number.
        """
        key = self._location.key(path)
        if offset < 0 or length < 0:
            raise Invalid("reading a range of", path, found=f"{offset}, {length}", expected=">= 0")
        if length == 0:
            self.size(path)
            return b""
        options: Any = {"range": (offset, offset + length)}
        requests = self._requests

        def request() -> bytes:
            return requests.once.get(key, options=options).bytes().to_bytes()

        try:
            return ask(requests.settings.retries, requests.ids, request)
        except Refused as error:
            if error.reply.meaning is Meaning.RANGE:
                return b""
            raise error.reply.error("reading a range of", requests.target(key)) from None

    def size(self, path: str) -> int:
        """Size in bytes. Raises `NotFound`."""
        key = self._location.key(path)
        found = self._requests.version(key)
        if found is None:
            raise NotFound("looking at", self._requests.target(key), found="not there")
        return found.size

    def exists(self, path: str) -> bool:
        """Whether a file is at `path`."""
        return self._requests.version(self._location.key(path)) is not None

    def list(self, folder: str = "") -> Iterator[Entry]:
        """Every file below `folder`, ascending by path bytes, page by page."""
        return self._entries(folder, self._location.folder(folder))

    def children(self, folder: str = "") -> tuple[Sequence[str], Sequence[Entry]]:
        """The names of the folders directly below `folder`, and the files directly in it."""
        start = self._location.folder(folder)
        found = self._requests.ask(
            "listing", start or "", lambda: self._requests.once.list_with_delimiter(start)
        )
        folders = {prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"]}
        entries = []
        for meta in found["objects"]:
            path = self._location.path(meta["path"])
            if path and path != folder and is_listed_name(path):
                entries.append(Entry(path, meta["size"]))
        return (
            sorted(filter(is_listed_name, folders), key=_bytes),
            sorted(entries, key=lambda entry: _bytes(entry.path)),
        )

    def stale_temps(self, folder: str = "") -> Iterator[Entry]:
        """Staged and probing objects that dead processes left: those which are a day older than
        an object written now, both by the server's clock. All lie at the root."""
        if folder:
            return iter(())
        found = self._requests.ask(
            "listing",
            self._location.prefix,
            lambda: self._requests.once.list_with_delimiter(self._location.folder()),
        )
        temps = []
        for meta in found["objects"]:
            path = self._location.path(meta["path"])
            if path and is_temporary(path):
                temps.append((Entry(path, meta["size"]), meta["last_modified"]))
        if not temps:
            return iter(())
        oldest = self._probe.server_time() - timedelta(seconds=STALE_AFTER)
        return iter([entry for entry, modified in temps if modified <= oldest])

    def remove_stale_temps(self, folder: str = "", *, dry_run: bool = False) -> GcReport:
        """Remove what `stale_temps` names."""
        report = GcReport()
        for entry in self.stale_temps(folder):
            try:
                if not dry_run:
                    self._requests.delete(self._location.temporary(entry.path))
            except HoldfastError as error:
                report.failed.append((entry.path, str(error)))
            else:
                report.removed.append((entry.path, entry.size))
        return report

    def delete(self, path: str) -> None:
        """Remove the file; nothing happens when it is not there."""
        self._requests.delete(self._location.key(path))

    def compare_and_swap(self, path: str, expected: bytes | None, replacement: bytes) -> None:
        """Replace the content `expected` (None: absent) of `path`, durable on return.

        Raises:
            Conflict: the content is another, or another writer was faster.
            Unsupported: the endpoint has no compare-and-swap.
        """
        key = self._location.key(path)
        try:
            if expected is None:
                self._probe.require_create()
                self._requests.create(key, replacement)
                return
            form = self._probe.match()
            try:
                content, base = self._requests.read(key)
            except NotFound as error:
                if error.details.get("missing") == "bucket":
                    raise
                raise Lost from None
            if content != expected:
                raise Lost
            self._requests.swap(key, base, replacement, mode=only_on(form, base))
        except Lost:
            raise Conflict("replacing", path, found="another content than expected") from None

    def swap_staged(self, path: str, expected: bytes | None, staged: Staged) -> None:
        """As `compare_and_swap`, for what waits in memory: up to one part."""
        if not isinstance(staged, ObjectStaged):
            raise Invalid("replacing", path, found="a file that another store staged")
        self.compare_and_swap(path, expected, staged.body())

    def open_writer(self, path: str, *, staging: str | None = None) -> ObjectWriter:
        """A stream into a new file, published create-only by its `close`. `staging` is ignored:
        staged objects lie at the root, where `stale_temps` finds them."""
        return self._writer(path, staging, _nothing)

    def stage(self, folder: str) -> ObjectStaged:
        """A new object that gets its name last. It waits in memory or, beyond one part, at the
        root, where `stale_temps` finds what is left of it."""
        self._location.key(folder)
        return self._staged(f"{self.url}/{folder}", look=None)

    def publish_many(
        self,
        items: Sequence[tuple[Staged, str]],
        *,
        along: Sequence[Staged] = (),
        whole: bool = False,
    ) -> None:
        """Publish each staged file, side by side. On an error some of them may exist."""
        calls = Calls(self._pool)
        try:
            for staged, path in items:
                self._location.key(path)
                calls.submit(lambda staged=staged, path=path: staged.publish(path))  # type: ignore[misc]
        finally:
            calls.wait()
        calls.check()
        for staged in along:
            staged.prepare()

    def batch(self) -> ObjectBatch:
        """A batch of new files, put side by side."""
        return ObjectBatch(
            self._pool,
            create=self.put,
            delete=self.delete,
            writer=self._writer,
        )

    def close(self) -> None:
        """End the threads; idempotent."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _writer(self, path: str, staging: str | None, done: Callable[[str], None]) -> ObjectWriter:
        self._location.key(path)
        if staging is not None:
            check_folder(staging)
        return ObjectWriter(path, self._staged(path, look=path), done=done)

    def _staged(self, name: str, *, look: str | None) -> ObjectStaged:
        return ObjectStaged(
            create=self.put,
            stage=lambda: self._stage(look),
            key=self._location.key,
            name=name,
            part=self._part_size,
        )

    def _stage(self, look: str | None) -> Stage:
        publish = self._probe.publish()
        if look is not None and self.exists(look):  # before gigabytes are sent for nothing
            raise PathExists("creating", look, found="another file is there")
        if publish is Publish.SPOOL:
            return SpoolStage(self._requests, self._spool_folder)
        staged = self._location.temporary(f".hf-{self._requests.ids.token(8)}")
        return PartStage(self._requests, staged, publish, self._part_size)

    def _entries(self, folder: str, start: str | None) -> Iterator[Entry]:
        before = b""
        for key, size in self._listed(start, PAGE):
            path = self._location.path(key)
            if path is None or path == folder or not is_listed_name(path):
                continue
            now = path.encode("utf-8")
            if now < before:
                raise Unsupported(
                    "listing",
                    self.url,
                    found="an endpoint that lists out of order",
                    expected="ascending keys, as S3 lists them",
                )
            before = now
            yield Entry(path, size)

    def _listed(self, start: str | None, page: int) -> Iterator[tuple[str, int]]:
        stream = iter(self._requests.patient.list(start, chunk_size=page))
        while True:
            try:
                found = next(stream, None)
            except obstore_errors() as error:
                raise read_reply(error).error("listing", self.url) from None
            if found is None:
                return
            for meta in found:
                yield meta["path"], meta["size"]


def _body(data: Buffer) -> Buffer:
    """`data` in a form that obstore takes: one dimension, contiguous, of bytes."""
    if isinstance(data, (bytes, bytearray)):
        return data
    view = memoryview(data)
    return view.cast("B") if view.contiguous else view.tobytes()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8")


def _nothing(path: str) -> None:
    return None
