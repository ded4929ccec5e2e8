"""The text of manifests and of partitions' names, for `store_checker`."""

from __future__ import annotations

import json
import re

from independent_manifest import (
    BLOCK,
    COLUMN,
    DATASET,
    FILE,
    LINEAGE,
    STATS,
    VOLUME,
    Present,
    Struct,
    struct,
    text_of,
)


def parsed(data):
    """A JSON object without repeated keys, numbers as they are."""

    def unique(pairs):
        keys = [key for key, _ in pairs]
        if len(keys) != len(set(keys)):
            raise ValueError(f"a key twice among {keys}")
        return dict(pairs)

    def integer(text):
        return -0.0 if text == "-0" else int(text)

    return json.loads(data.decode("utf-8"), object_pairs_hook=unique, parse_int=integer)


def _lineage(value):
    facts = dict(value)
    if "holdfast" in value:
        facts["holdfast"] = Present(_struct(LINEAGE, value["holdfast"]))
    return facts


def _struct(order, value):
    facts = {name: value.get(name) for name in order.replace("?", "").split()}
    return struct(order, facts)


def dataset_text(value):
    """The text of a dataset's manifest."""
    files = []
    for file in value["files"] or []:
        facts = dict(file)
        if "stats" in file:
            columns = [_struct(COLUMN, column) for column in file["stats"].get("columns", [])]
            facts["stats"] = _struct(STATS, dict(file["stats"], columns=columns))
        files.append(_struct(FILE, facts))
    return text_of(Struct(_struct(DATASET, dict(_lineage(value), files=files))))


def volume_text(value):
    """The text of a volume's manifest."""
    blocks = [_struct(BLOCK, block) for block in value["blocks"]]
    return text_of(Struct(_struct(VOLUME, dict(_lineage(value), blocks=blocks))))


def encoded(data):
    """Percent-encoding of a partition's value."""
    safe = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~$&+=:@"
    return "".join(chr(byte) if byte in safe else f"%{byte:02X}" for byte in data)


def decoded(text):
    """The bytes that it encodes."""
    parts = re.split(r"%([0-9A-F]{2})", text)
    return b"".join(
        bytes.fromhex(part) if number % 2 else part.encode() for number, part in enumerate(parts)
    )
