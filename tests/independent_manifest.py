"""The rules of manifest JSON once more (spec/datasets.md §3), slow and by other means."""

from __future__ import annotations

import json
import math
from decimal import Decimal

DATASET = (
    "schema_name format_version dataset_id snapshot_id created_at metadata files "
    "parent_snapshot_id? row_count min_timestamp? max_timestamp? codec? compressor partitioner "
    "checksum_algorithm? holdfast? holdfast_mark?"
)
FILE = "path size_bytes checksum? stats? blocks_sha256?"
STATS = "row_count columns?"
COLUMN = "name min? max? null_count distinct_count?"
VOLUME = (
    "schema_name format_version volume_id snapshot_id created_at metadata total_length blocks "
    "parent_snapshot_id? checksum_algorithm? holdfast? holdfast_mark?"
)
BLOCK = "offset length path checksum? blocks_sha256?"
LINEAGE = "author? message? run? inputs? nonce? real? replaces?"


class Struct(list):
    """Pairs of name and value, in order."""


def struct(order, facts):
    """The fields of `order`, in that order; those with a question mark only where not empty."""
    out = Struct()
    for name in order.split():
        value = facts[name.rstrip("?")]
        empty = value is None or (value in ("", (), [], 0) and name not in ("min?", "max?"))
        if not (name.endswith("?") and empty):
            out.append((name.rstrip("?"), value))
    return out


def _facts(instance, order):
    return {name: getattr(instance, name, None) for name in order.replace("?", "").split()}


def _common(manifest, order, schema):
    lineage = manifest.lineage
    return _facts(manifest, order) | {
        "schema_name": schema,
        "format_version": "1.0.0",
        "holdfast": None if lineage is None else Present(struct(LINEAGE, _facts(lineage, LINEAGE))),
        "holdfast_mark": manifest.mark,
    }


class Present(Struct):
    """A struct that is printed even where it is empty."""

    def __eq__(self, other):
        return self is other

    __hash__ = None


def dataset_bytes(manifest):
    """What the manifest of a dataset should be."""
    files = []
    for file in sorted(manifest.files, key=lambda f: f.path.encode()):
        facts = _facts(file, FILE)
        if file.stats is not None:
            columns = [struct(COLUMN, _facts(column, COLUMN)) for column in file.stats.columns]
            facts["stats"] = struct(STATS, {"row_count": file.stats.row_count, "columns": columns})
        files.append(struct(FILE, facts))
    facts = _common(manifest, DATASET, "lode-manifest") | {"files": files}
    return text_of(struct(DATASET, facts)).encode()


def volume_bytes(manifest):
    """What the manifest of a volume should be."""
    blocks = [
        struct(BLOCK, _facts(block, BLOCK))
        for block in sorted(manifest.blocks, key=lambda b: b.offset)
    ]
    facts = _common(manifest, VOLUME, "lode-volume-manifest") | {"blocks": blocks}
    return text_of(struct(VOLUME, facts)).encode()


def text_of(value, indent=0):
    """JSON text of a value."""
    pad = "  " * (indent + 1)
    end = "\n" + "  " * indent
    if isinstance(value, dict):
        value = Struct(sorted(value.items(), key=lambda item: item[0].encode()))
    if isinstance(value, Struct):
        lines = [f"{pad}{text_of(key)}: {text_of(item, indent + 1)}" for key, item in value]
        return "{\n" + ",\n".join(lines) + end + "}" if lines else "{}"
    if isinstance(value, (list, tuple)):
        lines = [pad + text_of(item, indent + 1) for item in value]
        return "[\n" + ",\n".join(lines) + end + "]" if lines else "[]"
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        for c in "<>&\u2028\u2029":
            text = text.replace(c, f"\\u{ord(c):04x}")
        return text
    if isinstance(value, float):
        return float_text(value)
    return json.dumps(value)


def float_text(value):
    """A double, by way of exact decimals."""
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    if 1e-6 <= abs(value) < 1e21:
        text = format(Decimal(repr(value)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    _, digits, power = Decimal(repr(value)).normalize().as_tuple()
    power += len(digits) - 1
    mantissa = "".join(map(str, digits))
    mantissa = mantissa[0] + ("." + mantissa[1:] if len(mantissa) > 1 else "")
    return f"{'-' if value < 0 else ''}{mantissa}e{'-' if power < 0 else '+'}{abs(power)}"
