"""Where a repository lies, whose it is, and where what can be rebuilt is kept."""

from __future__ import annotations

import getpass
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from holdfast.errors import Invalid, NotFound
from holdfast.store.filesystem import FileSystemStore
from holdfast.store.memory import MemoryStore
from holdfast.store.protocol import Store

if TYPE_CHECKING:
    from holdfast.clock import Ids
    from holdfast.repository_config import RepositoryConfig

NETWORK_FILE_SYSTEM = "HOLDFAST_NETWORK_FILE_SYSTEM"
"""Environment variable; `safe` declares that the network file system under a repository keeps locks
and syncs as a local one does."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def open_store(
    where: str | os.PathLike[str] | Store, *, create: bool = False, read_only: bool = False
) -> Store:
    """The store that a path, a URL or a store stands for.

    With `create`, a missing folder is made; a file in its place is refused. A folder on a network
    file system is refused too, unless `HOLDFAST_NETWORK_FILE_SYSTEM=safe` is set.
    """
    if not isinstance(where, (str, os.PathLike)):
        return where
    text = os.fspath(where)
    if text.startswith("file://"):
        text = text.removeprefix("file://")
    elif _SCHEME.match(text):
        if text == "memory://":
            return MemoryStore()
        from holdfast.store.object_store import ObjectStore

        return ObjectStore(text)
    if not text:
        raise Invalid("opening a repository", found="an empty path")
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise Invalid("opening a repository", text, found="a file", expected="a folder or a URL")
    if not create and not path.is_dir():
        raise NotFound(
            "opening the repository",
            text,
            found="no such folder",
            hint="make one with `holdfast init`, or name another with -R",
        )
    safe = os.environ.get(NETWORK_FILE_SYSTEM) == "safe"
    return FileSystemStore(text, read_only=read_only, network_file_system_is_safe=safe)


def default_author() -> str:
    """Who commits: `HOLDFAST_AUTHOR`, else user@host."""
    named = os.environb.get(b"HOLDFAST_AUTHOR")
    if named:
        return named.decode("utf-8", "backslashreplace")
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def new_domain(ids: Ids) -> int:
    """A number for a repository among federated ones: random, not 0."""
    while True:
        value = ids.u64() & 0xFFFFFFFF
        if value:
            return value


def cache_folder(store: Store, config: RepositoryConfig) -> str | None:
    """A local folder for what can be rebuilt: in the repository where it is a folder."""
    if isinstance(store, FileSystemStore):
        return str(Path(store.root) / "cache")
    if isinstance(store, MemoryStore):
        return None
    base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return str(Path(base) / "holdfast" / config.repository_id)
