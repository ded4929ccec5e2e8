"""The requests that an object store is made of, with retries, and with every unclear reply to a
conditional write settled (`object_settle`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.clock import Ids
from holdfast.errors import HoldfastError, StorageFailure
from holdfast.store.object_client import make_client
from holdfast.store.object_reply import Meaning, Reply
from holdfast.store.object_retry import WORTH_ANOTHER_TRY, Refused, ask, attempt
from holdfast.store.object_settle import (
    TOKEN_BYTES,
    Verdict,
    Version,
    read_tokens,
    settle_create,
    settle_swap,
    write_tokens,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from holdfast.store.object_client import Client, Settings
    from holdfast.store.object_url import Location

T = TypeVar("T")

UNCLEAR_HINT = "whether it was written is not known: look at the path before trying again"


class Lost(Exception):
    """Another's version is there; never leaves the object store."""


class Requests:
    """Requests on the keys of one location. Keys are full keys, made by `Location.key`.

    `once` sends each request once, so that every failure is seen here; `patient` lets obstore
    repeat, for listings and multipart uploads, whose requests may all be repeated.
    """

    def __init__(self, location: Location, settings: Settings, ids: Ids) -> None:
        self.location = location
        self.settings = settings
        self.ids = ids
        self.once: Client = make_client(location, settings)
        self.patient: Client = make_client(location, settings, retry=True)

    def target(self, key: str) -> str:
        """What to call `key` in messages."""
        return f"{self.location.scheme}://{self.location.bucket}/{key}"

    def ask(self, doing: str, key: str, request: Callable[[], T]) -> T:
        """The answer of a request that may be repeated. Raises the typed error of its failure."""
        try:
            return ask(self.settings.retries, self.ids, request)
        except Refused as error:
            raise error.reply.error(doing, self.target(key)) from None

    def read(self, key: str, doing: str = "reading") -> tuple[bytes, Version]:
        """All bytes and the version, of one moment. Raises `NotFound`."""

        def request() -> tuple[bytes, Version]:
            found = self.once.get(key)
            return found.bytes().to_bytes(), _version(found.meta, found.attributes)

        return self.ask(doing, key, request)

    def version(self, key: str, doing: str = "looking at") -> Version | None:
        """The present version (one HEAD), or None when there is no object."""

        def request() -> Version | None:
            found = self.once.get(key, options={"head": True})
            return _version(found.meta, found.attributes)

        try:
            return ask(self.settings.retries, self.ids, request)
        except Refused as error:
            if error.reply.meaning is Meaning.MISSING:
                return None
            raise error.reply.error(doing, self.target(key)) from None

    def delete(self, key: str) -> None:
        """Remove the object; nothing happens when it is not there."""
        try:
            ask(self.settings.retries, self.ids, lambda: self.once.delete(key))
        except Refused as error:
            if error.reply.meaning is not Meaning.MISSING:
                raise error.reply.error("removing", self.target(key)) from None

    def discard(self, key: str) -> None:
        """Remove an object that nobody will miss, as far as that can be done."""
        try:
            self.delete(key)
        except HoldfastError:
            return  # it is hidden from listings, and swept with the other temporary objects

    def create(self, key: str, body: Buffer, *, client: Client | None = None) -> None:
        """Create `key`, whole.

        Raises:
            Lost: another's object is there.
            StorageFailure: retries are used up, or the outcome cannot be proved.
        """
        token = self.ids.token(TOKEN_BYTES)
        attributes: Any = write_tokens(token)
        sender = client or self.once
        self.settle(
            "creating",
            key,
            lambda: sender.put(key, body, mode="create", attributes=attributes),
            lambda found, unclear: settle_create(found, token, unclear=unclear),
        )

    def swap(self, key: str, base: Version, body: Buffer, *, mode: dict[str, str]) -> None:
        """Replace the version `base`, which `mode` names to the server.

        Raises:
            Lost: another's version is there.
            StorageFailure: retries are used up, or the outcome cannot be proved.
        """
        token = self.ids.token(TOKEN_BYTES)
        attributes: Any = write_tokens(token, base.tokens)
        only: Any = mode
        self.settle(
            "replacing",
            key,
            lambda: self.once.put(key, body, mode=only, attributes=attributes),
            lambda found, unclear: settle_swap(base, found, token, unclear=unclear),
        )

    def settle(
        self,
        doing: str,
        key: str,
        write: Callable[[], object],
        judge: Callable[[Version | None, bool], Verdict],
    ) -> None:
        """Send the conditional `write` until it is proved done, or proved lost (raises `Lost`).

        After every reply but a success the object is read back: a refusal too may answer a write
        that something on the way sent twice.
        """
        retries = self.settings.retries
        unclear = False
        tried = 0
        while True:
            reply = attempt(write)
            if reply is None:
                return
            tried += 1
            unclear = unclear or reply.meaning is Meaning.TRANSIENT
            final = reply.meaning not in WORTH_ANOTHER_TRY and reply.meaning is not Meaning.REFUSED
            if final and not unclear:
                raise reply.error(doing, self.target(key))
            if reply.meaning is not Meaning.UNREACHABLE or unclear:
                verdict = judge(self._read_back(doing, key, reply, unclear), unclear)
                if verdict is Verdict.OURS:
                    return
                if verdict is Verdict.LOST:
                    raise Lost
                if verdict is Verdict.UNKNOWN:
                    raise self._unclear(doing, key, reply)
            if final or tried > retries.count:
                if unclear:
                    raise self._unclear(doing, key, reply)
                raise reply.error(doing, self.target(key))
            retries.pause(tried, self.ids)

    def _read_back(self, doing: str, key: str, reply: Reply, unclear: bool) -> Version | None:
        try:
            return self.version(key)
        except HoldfastError as error:
            if not unclear:
                raise
            raise self._unclear(doing, key, reply, f"; {error.found}") from None

    def _unclear(self, doing: str, key: str, reply: Reply, more: str = "") -> StorageFailure:
        return StorageFailure(
            doing,
            self.target(key),
            found=reply.text + more,
            expected="a reply that tells the outcome",
            hint=UNCLEAR_HINT,
            unclear=True,
        )


def _version(meta: Any, attributes: Any) -> Version:
    return Version(meta["e_tag"], meta["version"], read_tokens(attributes), meta["size"])
