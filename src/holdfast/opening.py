"""`init` and `open`: a repository is made, or opened as it was left.

`holdfast.json` first, then the ledger's first COMMIT (model 0), which fixes its bytes
(docs/decisions/0003).
"""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import chain

from holdfast.clock import Clock, Ids, SystemClock, SystemIds, rfc3339
from holdfast.digests import sha256_hex
from holdfast.errors import (
    AlreadyExists,
    HoldfastError,
    Integrity,
    PathExists,
    Unsupported,
)
from holdfast.records import CommitRecord, ObjectRef
from holdfast.repository import Repository, is_rebuildable
from holdfast.repository_config import CONFIG, KNOWN_FEATURES, RepositoryConfig, read_config
from holdfast.repository_location import new_domain, open_store
from holdfast.store.protocol import Store

LOG = "ledger/log"
_AFTER_INIT = (
    "ledger/blocks",
    "ledger/index",
    "ledger/snapshots",
    "runs",
    "datasets",
    "volumes",
)


def init(
    where: str | os.PathLike[str] | Store,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    author: str | None = None,
) -> Repository:
    """Make a repository in an empty or missing folder, an empty object-store prefix, or a store.

    Raises:
        AlreadyExists: the folder or prefix holds something already.
    """
    store = open_store(where, create=True)
    clock, ids = clock or SystemClock(), ids or SystemIds()
    try:
        return _init_store(store, clock, ids, author)
    except BaseException:
        store.close()
        raise


def _init_store(store: Store, clock: Clock, ids: Ids, author: str | None) -> Repository:
    folders, files = store.children("")
    if store.exists(CONFIG):
        raise AlreadyExists(
            "making a repository in",
            store.url,
            found="there is one already",
            hint="use it, or choose another place",
        )
    if folders or files:
        raise AlreadyExists(
            "making a repository in",
            store.url,
            found="the folder is not empty",
            hint="choose an empty or a new one",
        )
    config = RepositoryConfig(ids.uuid4(), new_domain(ids), rfc3339(clock.now_ns()))
    try:
        store.put(CONFIG, config.to_bytes())
    except PathExists:
        if not store.exists(CONFIG):
            raise  # a file stands where a folder of the way must be
        raise AlreadyExists(
            "making a repository in", store.url, found="another process has just made one"
        ) from None
    repository = Repository(store, config, clock=clock, ids=ids, author=author)
    anchor_config(repository)
    return repository


def open(
    where: str | os.PathLike[str] | Store,
    *,
    read_only: bool = False,
    clock: Clock | None = None,
    ids: Ids | None = None,
    author: str | None = None,
) -> Repository:
    """Open the repository at a path, a URL (``s3://bucket/prefix``) or in a store.

    Raises:
        NotFound: there is no repository.
        Integrity: `holdfast.json` is damaged; for writing: the ledger's log is gone.
        Unsupported: it was made by a later version.
    """
    store = open_store(where, read_only=read_only)
    try:
        config = read_config(store)
        unknown = sorted(set(config.features_write) - KNOWN_FEATURES)
        if unknown and not read_only:
            raise Unsupported(
                "opening for writing",
                store.url,
                found=f"unknown features {', '.join(unknown)}",
                hint="open it read-only, or with a newer Holdfast",
            )
        repository = Repository(
            store, config, read_only=read_only, clock=clock, ids=ids, author=author
        )
        _begin_again(repository)
        return repository
    except BaseException:
        store.close()
        raise


def _begin_again(repository: Repository) -> None:
    """Where the log is empty: `init` crashed between its two steps, or the log is lost.

    Raises:
        Integrity: it is lost, and the repository is opened for writing: a new log would make
            litter of everything that the lost one named.
    """
    if repository.read_only:
        # Whatever is wrong with the log, the rest can be read and verified.
        with suppress(HoldfastError):
            repository.ledger.fault = lost_log(repository)
        return
    if repository.ledger.position() == 0:
        lost = lost_log(repository)
        if lost is not None:
            raise lost
        anchor_config(repository)


def lost_log(repository: Repository) -> Integrity | None:
    """What is wrong with a log that is empty, where something is there that only comes after its
    first record; None: nothing is."""
    ledger, store = repository.ledger, repository.store
    if ledger.position():
        return None
    entries = chain.from_iterable(map(store.list, _AFTER_INIT))
    later = next((e.path for e in entries if not is_rebuildable(e.path)), None)
    # Another process may have made the first record, and more, since we looked.
    if later is None or ledger.position():
        return None
    return Integrity(
        "opening the log",
        LOG,
        found=f"no record, but {later}, which came after the first one",
        hint=f"put {LOG} back from a backup; opened read-only, what the runs hold can be restored",
    )


def anchor_config(repository: Repository) -> int:
    """Append the COMMIT (model 0) that fixes `holdfast.json`, unless it is there; its logseq."""
    data = repository.store.get(CONFIG)
    record = CommitRecord(
        model="repository",
        name="holdfast.json",
        id=sha256_hex(data),
        objects=(ObjectRef(CONFIG, len(data), sha256_hex(data)),),
        time=rfc3339(repository.clock.now_ns()),
        nonce=repository.ids.token(16),
        author=repository.author,
    )
    return repository.ledger.commit(record)
