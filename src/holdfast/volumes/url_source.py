"""An HTTP or HTTPS URL as a source of ranges.

Only these two schemes, over direct connections (no proxy), to public addresses unless the caller
says otherwise: the address is looked up, checked, and that very address connected to. A redirect
is followed to the same two schemes, never from HTTPS to HTTP.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import urllib.error
import urllib.request
from functools import cache
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from holdfast.errors import (
    Conflict,
    Denied,
    HoldfastError,
    Invalid,
    NotFound,
    StorageFailure,
    Unsupported,
)
from holdfast.volumes.deadline import Deadline

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

TIMEOUT = 60.0
"""Seconds without a byte after which a server is given up."""

SLOWEST = 4096
"""Bytes per second: a reply that takes longer than these and the time-out is given up too."""

_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})\Z")
_SCHEMES = ("http", "https")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")
_DOCUMENTS = ipaddress.IPv6Network("3fff::/20")


class UrlSource:
    """What a URL names, read by range requests.

    Raises:
        Invalid: not an HTTP or HTTPS URL, or one with a user name in it.
        Unsupported: the server gives no ranges, or not the size.
        Denied: a private address, a forbidden redirect, 401, 403.
        NotFound: 404, 410.
        StorageFailure: the server cannot be reached, or failed.
    """

    def __init__(self, url: str, *, allow_private: bool = False, timeout: float = TIMEOUT) -> None:
        self._url = _checked(url)
        self._timeout = timeout
        self._allow_private = allow_private
        self._identity: dict[str, Any] = {}
        self._strong = ""
        with self._deadline(1) as deadline, self._request(0, 1, deadline) as reply:
            if reply.status != 206:
                raise self._no_ranges(f"status {reply.status} for a range")
            self.size = self._total(reply, 0, 1)
            etag = reply.headers.get("ETag", "")
            # A weak tag names a meaning, not bytes; it shows a change but guards no range.
            self._strong = etag if etag.startswith('"') else ""
            modified = reply.headers.get("Last-Modified", "")
            self._identity = {"size": self.size}
            if etag:
                self._identity["etag"] = etag
            elif modified:
                self._identity["last_modified"] = modified

    @property
    def name(self) -> str:
        """The URL without its query, which may hold a secret."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    @property
    def identity(self) -> dict[str, Any]:
        return dict(self._identity)

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes.

        Raises:
            Conflict: what the URL names changed.
            Denied, NotFound, StorageFailure: as for the class.
        """
        with (
            self._deadline(length) as deadline,
            self._request(offset, length, deadline) as reply,
        ):
            if reply.status != 206:
                raise self._changed(f"status {reply.status} for a range")
            if self._total(reply, offset, length) != self.size:
                raise self._changed("another size")
            for key, header in (("etag", "ETag"), ("last_modified", "Last-Modified")):
                if self._identity.get(key, "") not in ("", reply.headers.get(header, "")):
                    raise self._changed(f"another {header}")
            try:
                data = reply.read(length + 1)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise self._failed(error) from error  # ValueError: a chunk of -5 bytes
        if len(data) != length:
            raise StorageFailure(
                "reading", self.name, found=f"{len(data)} bytes", expected=f"{length}",
                offset=offset, hint="run it again: it goes on where it stopped",
            )  # fmt: skip
        return data

    def close(self) -> None:
        """Nothing is held open between two reads."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _deadline(self, length: int) -> Deadline:
        return Deadline(min(self._timeout + length / SLOWEST, threading.TIMEOUT_MAX))

    def _request(self, offset: int, length: int, deadline: Deadline) -> http.client.HTTPResponse:
        headers = {
            "Range": f"bytes={offset}-{offset + length - 1}",
            "Accept-Encoding": "identity",
            "User-Agent": "holdfast",
        }
        if self._strong:
            headers["If-Range"] = self._strong
        request = urllib.request.Request(self._url, headers=headers)  # noqa: S310 - checked
        try:
            reply: http.client.HTTPResponse = _opener(self._allow_private, deadline).open(
                request, timeout=self._timeout
            )
        except urllib.error.HTTPError as error:
            error.close()
            raise self._refused(error.code) from None
        except urllib.error.URLError as error:
            raise self._failed(error.reason) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._failed(error) from error
        return reply

    def _total(self, reply: http.client.HTTPResponse, offset: int, length: int) -> int:
        text = reply.headers.get("Content-Range", "")
        match = _RANGE.match(text)
        if match is None or reply.headers.get("Content-Encoding", "identity") != "identity":
            raise self._no_ranges(f"Content-Range {text!r:.80}")
        first, last, total = (int(number) for number in match.groups())
        if first != offset or last != offset + length - 1 or total <= last:
            raise self._no_ranges(f"Content-Range {text!r:.80}")
        return total

    def _refused(self, status: int) -> HoldfastError:
        found = f"status {status}"
        if status in (404, 410):
            return NotFound("reading", self.name, found=found)
        if status in (401, 403, 407):
            return Denied("reading", self.name, found=found)
        if status == 416:
            return self._no_ranges(f"{found}, as for something empty")
        if status in (412,):
            return self._changed(found)
        return StorageFailure("reading", self.name, found=found, hint="run it again later")

    def _failed(self, error: object) -> HoldfastError:
        if isinstance(error, HoldfastError):
            return error
        return StorageFailure(
            "reading", self.name, found=f"{error}"[:200], hint="run it again: it goes on"
        )

    def _no_ranges(self, found: str) -> Unsupported:
        return Unsupported(
            "importing",
            self.name,
            found=f"a server that gives no ranges: {found}",
            hint="download it, and import the file",
        )

    def _changed(self, found: str) -> Conflict:
        return Conflict(
            "importing",
            self.name,
            found=f"{found}: it changed meanwhile",
            hint="import what it is now into a new volume",
        )


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound or not url.isascii() or re.search(r"[\x00-\x20\x7f]", url):
        raise Invalid("importing", f"{url!r:.200}", expected="an http:// or https:// URL, encoded")
    if parts.username is not None or parts.password is not None:
        raise Invalid("importing", parts.hostname, found="a URL with a user name in it")
    return url


def _opener(allow_private: bool, deadline: Deadline) -> urllib.request.OpenerDirector:
    opener = urllib.request.OpenerDirector()
    for handler in (
        _Connecting(allow_private, deadline),
        _Redirects(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to the two schemes only."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        _check_scheme(req, newurl)
        _checked(newurl)
        fp.close()  # else all of its body would be read, whatever its length
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
    ) -> Any:
        """Follow it. The scheme is looked at first: urllib would say of a forbidden one only that
        there was an error."""
        target = urljoin(req.full_url, headers.get("Location", ""))
        _check_scheme(req, target)
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _check_scheme(req: urllib.request.Request, target: str) -> None:
    try:
        scheme = urlsplit(target).scheme
    except ValueError:
        scheme = ""
    if scheme not in _SCHEMES or (req.type == "https" and scheme != "https"):
        raise Denied("following a redirect", req.host, found=f"to the scheme {scheme!r:.20}")


class _Connecting(urllib.request.HTTPHandler):
    """Opens connections to addresses that were checked."""

    def __init__(self, allow_private: bool, deadline: Deadline) -> None:
        super().__init__()
        self._allow_private = allow_private
        self._deadline = deadline

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._plain, req)  # type: ignore[arg-type]

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._secure, req)  # type: ignore[arg-type]

    https_request = urllib.request.AbstractHTTPHandler.do_request_

    def _plain(self, host: str, *, timeout: float, **_: Any) -> http.client.HTTPConnection:
        return _Plain(host, timeout, self._allow_private, self._deadline)

    def _secure(self, host: str, *, timeout: float, **_: Any) -> http.client.HTTPConnection:
        return _Secure(host, timeout, self._allow_private, self._deadline)


class _Plain(http.client.HTTPConnection):
    def __init__(self, host: str, timeout: float, allow_private: bool, deadline: Deadline) -> None:
        super().__init__(host, timeout=timeout)
        self._allow_private = allow_private
        self._deadline = deadline

    def connect(self) -> None:
        self.sock = _connect(self.host, self.port, self.timeout, self._allow_private)
        self._deadline.add(self.sock)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Secure(http.client.HTTPSConnection):
    def __init__(self, host: str, timeout: float, allow_private: bool, deadline: Deadline) -> None:
        super().__init__(host, timeout=timeout, context=_tls())
        self._allow_private = allow_private
        self._deadline = deadline

    def connect(self) -> None:
        plain = _connect(self.host, self.port, self.timeout, self._allow_private)
        try:
            self._deadline.add(plain)
            self.sock = _tls().wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


def _connect(host: str, port: int, timeout: float | None, allow_private: bool) -> socket.socket:
    """A connection to one of the host's addresses, all of which were looked at.

    Raises:
        Denied: one of them is not public.
        OSError: none can be reached.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not allow_private:
        for *_, address in found:
            check_public(str(address[0]), host)
    last: OSError | None = None
    for family, kind, protocol, _, address in found:
        made = socket.socket(family, kind, protocol)
        try:
            made.settimeout(timeout)
            made.connect(address)
            return made
        except OSError as error:
            made.close()
            last = error
    raise last or OSError(f"{host} has no address")


def check_public(address: str, host: str) -> None:
    """Raises `Denied`, unless `address` is one of the public network."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = _embedded(ip) or ip
    if not ip.is_global or ip.is_multicast or (ip.version == 6 and not _is_unicast(ip)):
        raise Denied(
            "connecting to",
            host,
            found=f"the address {address}, which is not public",
            hint="allow it with allow_private=True, if you mean it",
        )


def _is_unicast(ip: ipaddress.IPv6Address) -> bool:
    """Whether it is of the one part of the space that public addresses are of: others have been
    given to translation, to sites, and back again."""
    return ip in _UNICAST and ip not in _DOCUMENTS


def _embedded(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to, if it does."""
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour
