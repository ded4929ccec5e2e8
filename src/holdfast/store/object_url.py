"""The URLs of object stores: ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://container/prefix``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from holdfast.errors import Invalid, InvalidPath
from holdfast.store.paths import check_folder, check_path, is_temp_name

SCHEMES = {"s3": "Amazon S3 and what speaks like it", "gs": "Google Cloud", "az": "Azure Blob"}

MAX_KEY_BYTES = 1024
"""The longest key, prefix included, that S3, GCS and Azure all take."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(?:/(.*))?\Z", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Location:
    """A bucket (Azure: container) and a prefix in it; `prefix` has no slash at either end."""

    scheme: str
    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        """``scheme://bucket/prefix``: holds no secret."""
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    def key(self, path: str) -> str:
        """The key of `path`.

        Raises:
            InvalidPath: a path that breaks the rules, holds control characters, or makes a key of
                more than `MAX_KEY_BYTES` bytes.
        """
        return self._fitting(check_path(path))

    def temporary(self, name: str) -> str:
        """The key of the staged or probing object `name`: all lie directly below the prefix."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def _fitting(self, path: str) -> str:
        if _CONTROL.search(path):
            raise InvalidPath(
                "naming an object", repr(path), found="a control character", expected="none"
            )
        key = f"{self.prefix}/{path}" if self.prefix else path
        size = len(key.encode("utf-8"))
        if size > MAX_KEY_BYTES:
            raise InvalidPath(
                "naming an object",
                path,
                found=f"a key of {size} bytes with the prefix",
                expected=f"at most {MAX_KEY_BYTES}",
            )
        return key

    def folder(self, folder: str = "") -> str | None:
        """The key below which the files of `folder` are ("" is the root); None is the bucket."""
        return self._fitting(folder) if check_folder(folder) else (self.prefix or None)

    def path(self, key: str) -> str | None:
        """The path of `key`; None for a key outside of the prefix."""
        if not self.prefix:
            return key
        start = self.prefix + "/"
        return key[len(start) :] if key.startswith(start) else None


def is_object_url(text: str) -> bool:
    """Whether `text` names an object store by its scheme."""
    return text.partition("://")[0].lower() in SCHEMES and "://" in text


def is_temporary(path: str) -> bool:
    """Whether `path` is a staged or probing object (``.hf-<16 hex>``), which no listing shows."""
    return is_temp_name(path.rpartition("/")[2])


def parse_url(url: str) -> Location:
    """The location that `url` names.

    Raises:
        Invalid: no URL of an object store, or one with credentials, a query or a fragment in it.
            The message never repeats what could be a secret.
    """
    match = _URL.match(url)
    if match is None or match.group(1).lower() not in SCHEMES:
        raise Invalid(
            "reading the URL of an object store",
            found=f"the scheme {match.group(1)!r}" if match else "no scheme",
            expected=", ".join(f"{scheme}://bucket/prefix" for scheme in SCHEMES),
        )
    scheme, bucket, rest = match.group(1).lower(), match.group(2), match.group(3) or ""
    if "@" in bucket or ":" in bucket:
        raise Invalid(
            "reading the URL of an object store",
            found="credentials or a port in it",
            expected=f"{scheme}://bucket/prefix",
            hint="give credentials and the endpoint in environment variables "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL)",
        )
    if "?" in rest or "#" in rest:
        raise Invalid(
            "reading the URL of an object store",
            found="a query or a fragment (? or #)",
            expected=f"{scheme}://bucket/prefix",
        )
    if not _BUCKET.match(bucket):
        raise Invalid(
            "reading the URL of an object store",
            found=f"the bucket name {bucket!r}",
            expected="letters, digits, dots, hyphens and underscores",
        )
    prefix = rest.strip("/")
    location = Location(scheme, bucket, prefix)
    if prefix:
        try:
            # below a folder, since "locks" is kept at the root of a store only
            Location(scheme, bucket, "").key(f"root/{prefix}")
        except InvalidPath as error:
            raise Invalid(
                "reading the URL of an object store", location.url, found=error.found or str(error)
            ) from None
    return location
