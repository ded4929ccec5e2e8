"""Small commits with a table format of the peers' environment; `datasets_commits.py` runs this.

python datasets_peers.py PEER make|work|check FOLDER [COMMITS WRITER]

`work` prints "ready", waits for a line, commits, and prints a JSON object. None of the peers syncs
what it writes. Where another writer is faster, each does what its own documentation says: Delta
and Lance retry by themselves, Iceberg's and Icechunk's callers do it again.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

ROWS = 100
TRIES = 1000


def columns(number: int) -> dict[str, list[Any]]:
    """The rows of one commit; the same for all contenders."""
    first = number * ROWS
    ids = range(first, first + ROWS)
    return {
        "id": list(ids),
        "value": [i * 0.5 for i in ids],
        "name": [f"row {i % 1000:06}" for i in ids],
    }


class Peer:
    """One table format. `commit` returns how many tries it took."""

    package = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def data(self, number: int) -> Any:
        import pyarrow as pa

        return pa.table(columns(number))

    def make(self) -> None:
        """Make the table with one commit in it."""
        raise NotImplementedError

    def open(self) -> None:
        raise NotImplementedError

    def commit(self, data: Any) -> int:
        raise NotImplementedError

    def commits(self) -> int:
        """How many commits can be read back, the first one too."""
        raise NotImplementedError


class Delta(Peer):
    package = "deltalake"

    def make(self) -> None:
        from deltalake import write_deltalake

        write_deltalake(str(self.folder), self.data(0))

    def open(self) -> None:
        from deltalake import DeltaTable

        self.table = DeltaTable(str(self.folder))

    def commit(self, data: Any) -> int:
        from deltalake import CommitProperties, write_deltalake

        write_deltalake(
            self.table,
            data,
            mode="append",
            commit_properties=CommitProperties(max_commit_retries=TRIES),
        )
        return 1

    def commits(self) -> int:
        self.open()
        return len(self.table.to_pyarrow_table(columns=["id"])) // ROWS


class Iceberg(Peer):
    package = "pyiceberg"

    def _catalog(self) -> Any:
        from pyiceberg.catalog.sql import SqlCatalog

        return SqlCatalog(
            "bench", uri=f"sqlite:///{self.folder}/catalog.db", warehouse=f"file://{self.folder}"
        )

    def make(self) -> None:
        self.folder.mkdir()
        catalog = self._catalog()
        catalog.create_namespace("bench")
        catalog.create_table("bench.t", schema=self.data(0).schema).append(self.data(0))

    def open(self) -> None:
        self.table = self._catalog().load_table("bench.t")

    def commit(self, data: Any) -> int:
        from pyiceberg.exceptions import CommitFailedException
        from sqlalchemy.exc import OperationalError

        for number in range(1, TRIES):
            try:
                self.table.append(data)
                return number
            except (CommitFailedException, OperationalError):  # the latter: database is locked
                self.table.refresh()
        raise RuntimeError("overtaken too often")

    def commits(self) -> int:
        self.open()
        return self.table.scan(selected_fields=("id",)).to_arrow().num_rows // ROWS


class Icechunk(Peer):
    package = "icechunk"

    def _storage(self) -> Any:
        import icechunk

        return icechunk.local_filesystem_storage(str(self.folder))

    def data(self, number: int) -> Any:
        import numpy as np

        return {
            name: np.array(values, "U10" if name == "name" else None)
            for name, values in columns(number).items()
        }

    def make(self) -> None:
        import icechunk
        import zarr

        repo = icechunk.Repository.create(self._storage())
        session = repo.writable_session("main")
        root = zarr.group(session.store)
        for name, values in self.data(0).items():
            root.create_array(name, data=values)
        session.commit("first")

    def open(self) -> None:
        import icechunk

        self.repo = icechunk.Repository.open(self._storage())

    def commit(self, data: Any) -> int:
        """The rows of this commit, as a snapshot of Holdfast has them: they replace the others,
        which costs Icechunk less than to resize."""
        import icechunk
        import zarr

        for number in range(1, TRIES):
            session = self.repo.writable_session("main")
            root = zarr.open_group(session.store)
            for name, values in data.items():
                root[name][:] = values
            try:
                session.commit("more")
                return number
            except icechunk.ConflictError:
                continue
        raise RuntimeError("overtaken too often")

    def commits(self) -> int:
        self.open()
        # The repository itself begins with a snapshot that nobody committed.
        return sum(1 for _ in self.repo.ancestry(branch="main")) - 1


class Lance(Peer):
    package = "pylance"

    def make(self) -> None:
        import lance

        lance.write_dataset(self.data(0), str(self.folder))

    def open(self) -> None:
        import lance

        self.table = lance.dataset(str(self.folder))

    def commit(self, data: Any) -> int:
        import lance

        self.table = lance.write_dataset(data, self.table, mode="append")
        return 1

    def commits(self) -> int:
        self.open()
        return int(self.table.count_rows()) // ROWS


PEERS = {"deltalake": Delta, "pyiceberg": Iceberg, "icechunk": Icechunk, "lance": Lance}


def main(name: str, what: str, folder: str, count: str = "0", writer: str = "0") -> None:
    kind = PEERS[name]
    peer = kind(Path(folder))
    if what == "make":
        peer.make()
    elif what == "check":
        print(json.dumps(peer.commits()))
    elif what == "version":
        print(json.dumps(importlib.metadata.version(kind.package)))
    else:
        first = 1 + int(writer) * int(count)
        data = [peer.data(first + n) for n in range(int(count))]
        warm = kind(Path(f"{folder}-warm{writer}"))
        warm.make()
        warm.open()
        warm.commit(data[0])
        peer.open()
        print("ready", flush=True)
        sys.stdin.readline()
        start = time.perf_counter()
        tries = sum(peer.commit(item) for item in data)
        print(json.dumps({"seconds": time.perf_counter() - start, "tries": tries}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # some of them now and then abort while the interpreter ends
