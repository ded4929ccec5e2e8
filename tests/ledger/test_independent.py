"""Whole ledgers, made in every way there is, decode with what was written from the pages alone."""

from __future__ import annotations

import io
import os
from pathlib import Path

import boto3
import pytest

from holdfast.clock import rfc3339
from holdfast.errors import NotFound
from holdfast.ledger import put as put_module
from holdfast.ledger import write as write_module
from holdfast.ledger.artifact import Reference, reference_of
from holdfast.ledger.ledger import Ledger
from holdfast.records import COMMIT_TYPE_TAG, CommitRecord, ObjectRef
from holdfast.store.filesystem import FileSystemStore
from ledger import independent_ledger as independent
from s3_servers import Server, moto

__all__ = ["moto"]

KINDS = {
    "BATCH",
    "COMMIT",
    "INLINE_PUT",
    "SEGMENT_SEAL",
    "SNAPSHOT_ANCHOR",
    "TOMBSTONE",
    "TOMBSTONE_LIFT",
}
"""Every record that is written so far; the others come with collection, erasure, federation."""


def commit(number: int) -> CommitRecord:
    return CommitRecord(
        "dataset",
        "trips",
        f"snapshot {number}",
        (ObjectRef("datasets/trips/manifest.json", number, f"{number:064x}"),),
        rfc3339(number),
        f"{number:032x}",
        "somebody",
        message=None if number % 2 else "näher",
    )


def use(ledger: Ledger) -> list[Reference]:
    """Put, hide, show, snapshot and commit in every way; every reference there is, in order."""
    made: list[Reference] = []

    def round_of(number: int) -> None:
        word = b"%d" % number
        made.append(ledger.put(word))
        made.append(ledger.put(b"tagged" + word, 7 + number))
        made.append(ledger.put(b"L" * 70_000 + word))
        made.append(ledger.put_stream(io.BytesIO(b"S" * 90_000 + word), 0))
        made.extend(ledger.put_many([b"%d of " % n + word for n in range(300)], 5))
        made.extend(ledger.put_many([b"twice", b"twice", b"", b"%d" % number * 3000]))
        for hidden, lifted in ((made[-1], False), (made[0], True), (made[-9], True)):
            logseq = ledger.tombstone(hidden, 1, number)
            if lifted:
                ledger.lift(hidden, logseq)
        record = commit(number)
        ledger.commit(record)
        made.append(reference_of(record.to_bytes(), COMMIT_TYPE_TAG))

    round_of(1)
    ledger.snapshot()
    round_of(2)
    ledger.snapshot()
    round_of(3)
    return made


def compare(ledger: Ledger, made: list[Reference], found: independent.Decoded) -> None:
    """Artifact by artifact, the program and the decoder say the same."""
    assert set(found.artifacts) == {reference.text for reference in made}
    seen = [reference for reference in dict.fromkeys(made) if found.visible(reference.text)]
    for number, (reference, read) in enumerate(zip(seen, ledger.get_many(seen), strict=True)):
        data, type_tag = found.artifacts[reference.text]
        assert data == read
        assert reference_of(data, type_tag) == reference
        if number % 20 == 0:
            assert ledger.stat(reference).type_tag == type_tag
    hidden = set(made) - set(seen)
    assert len(hidden) == 3
    for reference in hidden:
        with pytest.raises(NotFound):
            ledger.get(reference)
    assert len(found.kinds) == ledger.position()
    assert set(found.kinds) | {"BATCH"} == KINDS
    assert len(found.snapshots) == 2
    told = list(reversed(list(ledger.commits())))
    assert [(n, c.id, c.message) for n, c in told] == [
        (n, c["id"], c["message"]) for n, c in found.commits
    ]
    out = io.BytesIO()
    ledger.export_log(out)
    assert independent.exported(out.getvalue()) == found.kinds


def test_a_ledger_on_a_file_system_decodes_from_the_pages_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(write_module, "ROTATE_ABOVE", 100)
    small_blocks = dict(put_module.BatchPut.__init__.__kwdefaults__) | {"limit": 40_000}
    monkeypatch.setattr(put_module.BatchPut.__init__, "__kwdefaults__", small_blocks)
    with Ledger(FileSystemStore(tmp_path)) as ledger:
        made = use(ledger)
    root = Path(tmp_path, "ledger")
    files = {
        os.path.relpath(os.path.join(folder, name), root): Path(folder, name).read_bytes()
        for folder, _, names in os.walk(root)
        for name in names
    }
    assert sum(name.startswith("log/") and name.endswith(".asl") for name in files) == 3
    with Ledger(FileSystemStore(tmp_path)) as again:
        compare(again, made, independent.decode(files))


def test_a_ledger_on_an_object_store_decodes_from_the_pages_alone(moto: Server):
    store = moto.store()
    with Ledger(store) as ledger:
        made = use(ledger)
    client = boto3.client(
        "s3",
        endpoint_url=moto.endpoint,
        region_name="us-east-1",
        aws_access_key_id=moto.access_key_id,
        aws_secret_access_key=moto.secret_access_key,
    )
    prefix = store.url.removeprefix(f"s3://{moto.bucket}/") + "/ledger/"
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=moto.bucket, Prefix=prefix)
    files = {
        entry["Key"].removeprefix(prefix): client.get_object(Bucket=moto.bucket, Key=entry["Key"])[
            "Body"
        ].read()
        for page in pages
        for entry in page["Contents"]
    }
    client.close()
    with Ledger(store) as again:
        compare(again, made, independent.decode(files))
    store.close()
