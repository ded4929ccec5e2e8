"""What `dataset create` says of a dataset beyond what manifests have a field for.

It stands in the metadata of the snapshot under `KEY`, and every `dataset write` carries it on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.errors import HoldfastError, Invalid, NoSnapshots, from_oserror

if TYPE_CHECKING:
    from holdfast.datasets.codecs.parquet import Field
    from holdfast.datasets.dataset import Dataset
    from holdfast.datasets.snapshot import DatasetSnapshot
    from holdfast.repository import Repository

KEY = "holdfast_dataset"
_MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class Setup:
    """Partition keys and columns that were declared; empty where nothing was."""

    keys: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()

    def metadata(self) -> dict[str, Any]:
        """As metadata of a snapshot."""
        value: dict[str, Any] = {}
        if self.keys:
            value["partition_by"] = list(self.keys)
        if self.fields:
            value["schema"] = [
                {"name": f.name, "type": f.type, "nullable": f.nullable} for f in self.fields
            ]
        return {KEY: value} if value else {}


def setup_in(metadata: Mapping[str, Any]) -> Setup:
    """What a snapshot's metadata say; what is not ours counts as nothing."""
    value = metadata.get(KEY)
    if not isinstance(value, dict):
        return Setup()
    keys = value.get("partition_by", [])
    usable = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    try:
        fields = _fields(value.get("schema", []), KEY)
    except HoldfastError:
        fields = ()
    return Setup(tuple(keys) if usable else (), fields)


def read_schema(path: str) -> tuple[Field, ...]:
    """The columns that a file declares: a JSON list of ``{"name", "type", "nullable"}``.

    Raises:
        Invalid: it does not; `NotFound` and the like for a file that cannot be read.
    """
    import json

    try:
        with open(path, "rb") as file:
            data = file.read(_MOST + 1)
    except OSError as error:
        raise from_oserror(error, "reading", os.fsdecode(path)) from None
    if len(data) > _MOST:
        raise Invalid("reading the schema", path, found=f"more than {_MOST} bytes")
    try:
        return _fields(json.loads(data), path)
    except (ValueError, RecursionError) as error:
        raise Invalid("reading the schema", path, found=str(error)[:200]) from None


def _fields(value: Any, place: str) -> tuple[Field, ...]:
    from holdfast.datasets.codecs.parquet_schema import TYPES, Field, check_fields

    expected = 'a list of {"name": …, "type": …, "nullable": true or false}'
    if not isinstance(value, list):
        raise Invalid("reading the schema", place, found="no list", expected=expected)
    fields = []
    for item in value:
        known = isinstance(item, dict) and item.keys() <= {"name", "type", "nullable"}
        if not known or not isinstance(item.get("nullable", False), bool):
            raise Invalid("reading the schema", place, found=f"{item!r:.80}", expected=expected)
        name, kind = item.get("name"), item.get("type")
        if not isinstance(name, str) or kind not in TYPES:
            raise Invalid(
                "reading the schema", place, found=f"{item!r:.80}",
                expected=f"a name, and a type of {', '.join(TYPES)}",
            )  # fmt: skip
        fields.append(Field(name, kind, item.get("nullable", False)))
    return check_fields(fields)


def latest_of(dataset: Dataset) -> DatasetSnapshot | None:
    """The newest snapshot, or None."""
    try:
        return dataset.latest()
    except NoSnapshots:
        return None


def open_for_writing(
    repo: Repository, name: str, latest: DatasetSnapshot | None, codec: str, setup: Setup
) -> Dataset:
    """The dataset, to be written as it was set up; a new one with `codec`."""
    options: dict[str, Any] = {}
    if setup.keys:
        options["partition_by"] = setup.keys
    stored = codec if latest is None else latest.manifest.codec or "raw"
    if latest is None:
        options["codec"] = codec
    if setup.fields and stored == "parquet":
        options |= {"codec": "parquet", "schema": list(setup.fields)}
    return repo.dataset(name, **options)
