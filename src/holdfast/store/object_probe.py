"""What an endpoint really does, found out by trying: docs/guide/object-stores.md.

Servers that speak S3 differ most in the conditions that create-only and compare-and-swap rest
on, and some ignore them in silence. So each ability is tried on tiny objects (``.hf-<16 hex>``,
removed afterwards) before the first write that needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from threading import Lock
from typing import Any

from holdfast.errors import NotFound, StorageFailure, Unsupported
from holdfast.store.object_client import make_client
from holdfast.store.object_reply import Meaning, Reply
from holdfast.store.object_requests import Requests
from holdfast.store.object_retry import WORTH_ANOTHER_TRY, Refused, ask, attempt
from holdfast.store.object_settle import TOKEN_BYTES, Version, write_tokens

COPY_BY_HEADER = "header: if-none-match: *"
COPY_BY_PARTS = "multipart"


TRYING = "trying what the server can do at"

# replies that tell of an ability; others (no access, no bucket) are errors to be told as such
_TELLING = frozenset({Meaning.REFUSED, Meaning.UNSUPPORTED, Meaning.FAILED})


class Match(StrEnum):
    """In which form the server takes the ETag of an ``If-Match``."""

    QUOTED = "quoted"
    UNQUOTED = "unquoted"
    NONE = "none"
    """No form works: there is no compare-and-swap."""


class Publish(StrEnum):
    """How a body larger than one part becomes visible, create-only."""

    COPY = "conditional copy"
    """Staged in parts under a hidden key, then copied on the server if nothing is there."""
    PARTS = "conditional completion"
    """The same, where the server minds conditions on completing a multipart upload only. The
    copy keeps no token."""
    SPOOL = "one conditional put"
    """Neither: spooled to a local file, then sent as one conditional put."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the endpoint does. Give it to `ObjectStore` to skip the probes."""

    match: Match
    publish: Publish


class Probe:
    """The abilities of the endpoint behind `requests`, each found out once, when first asked."""

    def __init__(self, requests: Requests, known: Abilities | None = None) -> None:
        self._requests = requests
        self._lock = Lock()
        self._create = known is not None
        self._match = known.match if known else None
        self._publish = known.publish if known else None

    def require_create(self) -> None:
        """Raises `Unsupported` where a conditional create is not respected."""
        if self._create:
            return
        with self._lock:
            if not self._create:
                self._on_object(self._try_create)
                self._create = True

    def match(self) -> Match:
        """The form of ETag to use; raises `Unsupported` where there is no compare-and-swap."""
        if self._match is None:
            self.require_create()
            with self._lock:
                if self._match is None:
                    self._match = self._on_object(self._try_match)
        if self._match is Match.NONE:
            raise self._missing("If-Match on PUT, which compare-and-swap needs")
        return self._match

    def publish(self) -> Publish:
        """How to publish large bodies."""
        if self._publish is None:
            self.require_create()
            with self._lock:
                if self._publish is None:
                    self._publish = self._on_object(self._try_publish)
        return self._publish

    def abilities(self) -> Abilities:
        """All of them. Raises `Unsupported` where a conditional create is not respected."""
        try:
            match = self.match()
        except Unsupported:
            if self._match is None:
                raise
            match = Match.NONE
        return Abilities(match, self.publish())

    def server_time(self) -> datetime:
        """The server's clock, as it dates an object written now."""
        modified: datetime = self._on_object(self._try_time)
        return modified

    def _try_time(self, key: str) -> datetime:
        self._put(key, b"1", mode="overwrite")
        dates: list[datetime] = []
        self._ask(key, lambda: dates.append(self._requests.once.head(key)["last_modified"]))
        return dates[-1]

    def _missing(self, what: str) -> Unsupported:
        return Unsupported(
            "writing to",
            self._requests.location.url,
            found=f"an endpoint that does not respect {what}",
            hint="use a server that does; see docs/guide/object-stores.md",
        )

    def _on_object(self, trial: Callable[[str], Any]) -> Any:
        """The result of `trial` with the key of a scratch object, removed afterwards."""
        key = self._new_key()
        try:
            return trial(key)
        finally:
            self._requests.discard(key)

    def _new_key(self) -> str:
        return self._requests.location.temporary(f".hf-{self._requests.ids.token(8)}")

    def _put(self, key: str, body: bytes, **how: Any) -> None:
        """An unconditional put, or one whose condition is met and whose repetition harms not."""
        self._ask(key, lambda: self._requests.once.put(key, body, **how))

    def _ask(self, key: str, request: Callable[[], object]) -> None:
        try:
            ask(self._requests.settings.retries, self._requests.ids, request)
        except Refused as error:
            raise error.reply.error(TRYING, self._requests.target(key)) from None

    def _found(self, key: str) -> tuple[bytes, Version]:
        try:
            return self._requests.read(key, TRYING)
        except NotFound:
            raise StorageFailure(
                TRYING, self._requests.location.url, found="an object just written is not there"
            ) from None

    def _attempt(self, key: str, request: Callable[[], object]) -> Reply | None:
        """The plain reply to `request`, None for a success; passing failures are tried again,
        and proved to be nothing else: a 500 is neither a refusal nor a success."""
        retries = self._requests.settings.retries
        for tried in range(1, retries.count + 2):
            reply = attempt(request)
            if reply is None or reply.meaning not in WORTH_ANOTHER_TRY:
                break
            if tried <= retries.count:
                retries.pause(tried, self._requests.ids)
        if reply is not None and reply.meaning not in _TELLING:
            raise reply.error(TRYING, self._requests.target(key))
        return reply

    def _refuses(self, key: str, request: Callable[[], object]) -> bool:
        """Whether `request`, whose condition is not met, is refused."""
        reply = self._attempt(key, request)
        return reply is not None and reply.meaning is Meaning.REFUSED

    def _try_create(self, key: str) -> None:
        token = self._requests.ids.token(TOKEN_BYTES)
        attributes: Any = write_tokens(token)
        # unconditional, so that a repetition after a lost reply is no false alarm
        self._put(key, b"1", attributes=attributes, mode="overwrite")
        client = self._requests.once
        if not self._refuses(key, lambda: client.put(key, b"2", mode="create")):
            raise self._missing("If-None-Match on PUT, which create-only needs")
        content, version = self._found(key)
        if content != b"1":
            raise self._missing("If-None-Match on PUT, which create-only needs")
        if version.tokens != (token,):
            raise self._missing("metadata (x-amz-meta-…), which settles lost replies")

    def _try_match(self, key: str) -> Match:
        """A form counts that lets the true ETag through and keeps a stale one out."""
        client = self._requests.once
        self._put(key, b"0", mode="overwrite")
        stale = self._found(key)[1]
        self._put(key, b"1", mode="overwrite")
        base = self._found(key)[1]
        if base.e_tag is None or stale.e_tag in (None, base.e_tag):
            return Match.NONE
        for form in (Match.QUOTED, Match.UNQUOTED):
            old: Any = only_on(form, stale)
            new: Any = only_on(form, base)
            if not self._refuses(key, lambda mode=old: client.put(key, b"2", mode=mode)):  # type: ignore[misc]
                continue
            self._attempt(key, lambda mode=new: client.put(key, b"3", mode=mode))  # type: ignore[misc]
            if self._found(key)[0] == b"3":
                return form
        return Match.NONE

    def _try_publish(self, key: str) -> Publish:
        source = self._new_key()
        token = self._requests.ids.token(TOKEN_BYTES)
        attributes: Any = write_tokens(token)
        try:
            self._put(source, b"source", attributes=attributes, mode="overwrite")
            ways = [(Publish.COPY, "")]
            if self._requests.location.scheme == "s3":
                ways = [(Publish.COPY, COPY_BY_HEADER), (Publish.PARTS, COPY_BY_PARTS)]
            for publish, way in ways:
                if self._copy_works(source, key, way, keeps=publish is Publish.COPY and token):
                    return publish
            return Publish.SPOOL
        finally:
            self._requests.discard(source)

    def _copy_works(self, source: str, key: str, way: str, *, keeps: str | bool) -> bool:
        """Whether the copy creates where nothing is, with its tokens if it `keeps` them, and
        refuses where something is."""
        requests = self._requests
        client = make_client(requests.location, requests.settings, copy_if_not_exists=way)
        requests.delete(key)

        def copy() -> None:
            client.copy(source, key, overwrite=False)

        self._attempt(key, copy)
        made = requests.version(key)
        if made is None or (keeps and made.tokens != (keeps,)):
            return False
        if self._found(key)[0] != b"source":
            return False
        self._put(key, b"1", mode="overwrite")
        return self._refuses(key, copy) and self._found(key)[0] == b"1"


def only_on(form: Match, base: Version) -> dict[str, str]:
    """obstore's put mode for: only on top of `base`, named in the form that the server takes."""
    mode = {}
    if base.e_tag is not None:
        mode["e_tag"] = base.e_tag.strip('"') if form is Match.UNQUOTED else base.e_tag
    if base.version is not None:
        mode["version"] = base.version
    return mode
