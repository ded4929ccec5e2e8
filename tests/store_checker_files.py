"""The content of data files, for `store_checker`: records, their order and their statistics."""

from __future__ import annotations

import io
import json
import math
import re

from independent_manifest import float_text
from store_checker_text import encoded

MAYBE_TIME = re.compile(r"\d{4}-\d\d-\d\d")


def check_payload(codec, payload, stats, partition, *, portable, ours):
    """(rows, problems) of a file's decompressed bytes."""
    if codec is None:
        return 1, []
    problems = []
    if codec == "jsonl":
        rows = json_rows(payload, problems, portable, ours)
        columns = json_columns(rows)
    else:
        table = parquet_table(payload, problems, portable or not ours)
        rows = range(table.num_rows)
        columns = parquet_columns(table)
    if ours and stats is None:
        problems.append("no statistics")
    if stats is not None:
        check_stats(stats, len(rows), columns, problems)
    check_partition(partition, columns, problems)
    return len(rows), problems


def json_rows(payload, problems, portable, ours):
    """The records of JSON Lines. The original's structs have their fields in their own order."""
    if payload and not payload.endswith(b"\n"):
        problems.append("no newline at its end")
    rows = []
    for number, line in enumerate(payload.split(b"\n")[:-1]):
        value = json.loads(
            line.decode("utf-8"),
            object_pairs_hook=(
                lambda pairs, n=number: _sorted(pairs, n, problems) if ours else dict(pairs)
            ),
            parse_int=lambda text: -0.0 if text == "-0" else int(text),
            parse_constant=lambda text, n=number: problems.append(f"line {n}: {text}"),
        )
        wanted = line_of(value, sort=ours)
        if not ours:
            # What the original could not decode it writes as an escape.
            line = line.replace(b"\\ufffd", "\ufffd".encode())
        if (portable or not ours) and wanted.encode("utf-8", "surrogatepass") != line:
            problems.append(f"line {number}: {line[:200]!r}, not {wanted[:200]!r}")
        rows.append(value)
    return rows


def _sorted(pairs, number, problems):
    keys = [key.encode("utf-8", "surrogatepass") for key, _ in pairs]
    if keys != sorted(set(keys)):
        problems.append(f"line {number}: keys {keys}")
    return dict(pairs)


def line_of(value, sort=True):
    """A value in the canonical form of §5."""
    if isinstance(value, dict):
        items = list(value.items())
        if sort:
            items.sort(key=lambda item: item[0].encode("utf-8", "surrogatepass"))
        return "{" + ",".join(f"{line_of(k)}:{line_of(v, sort)}" for k, v in items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(line_of(item, sort) for item in value) + "]"
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)
        if "\b" in value or "\f" in value:
            text = re.sub(r"(?<!\\)((?:\\\\)*)\\b", r"\1\\u0008", text)
            text = re.sub(r"(?<!\\)((?:\\\\)*)\\f", r"\1\\u000c", text)
        for c in "<>&\u2028\u2029":
            text = text.replace(c, f"\\u{ord(c):04x}")
        return text
    if isinstance(value, float):
        return re.sub(r"e-(\d)\Z", r"e-0\1", float_text(value))
    return json.dumps(value)


def json_columns(rows):
    """Name → the values of the records that have one, nulls too."""
    columns = {}
    for row in rows:
        for key, value in row.items() if isinstance(row, dict) else ():
            columns.setdefault(key, []).append(value)
    for values in columns.values():
        values.extend([None] * (len(rows) - len(values)))
    return columns


def parquet_table(payload, problems, portable):
    """The table. Where it is made of `Field`s, §7 says its form."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(payload))
    names = file.schema_arrow.names if portable else []
    if names != sorted(names, key=str.encode):
        problems.append(f"columns {names}")
    for number in range(len(file.schema) if portable else 0):
        column = file.schema.column(number)
        if column.logical_type.type == "TIMESTAMP" and (
            column.physical_type != "INT64" or "nanoseconds" not in str(column.logical_type)
        ):
            problems.append(f"column {column.name}: {column.logical_type}")
    table = file.read()
    assert isinstance(table, pa.Table)
    return table


def parquet_columns(table):
    """Name → values of the columns that Python can hold."""
    import pyarrow as pa

    out = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_float32(column.type):
            # Bounds are the shortest text of a float32.
            out[name] = [v if v is None else float(f"{v:.9g}") for v in column.to_pylist()]
        elif pa.types.is_nested(column.type) or pa.types.is_timestamp(column.type):
            out[name] = [None if not valid else object() for valid in column.is_valid().to_pylist()]
        else:
            out[name] = column.to_pylist()
    return out


def check_stats(stats, rows, columns, problems):
    """Statistics are those of the values."""
    if stats["row_count"] != rows:
        problems.append(f"statistics of {stats['row_count']} rows, not {rows}")
    for column in stats.get("columns", []):
        name = column["name"]
        values = [value for value in columns.get(name, ()) if value is not None]
        if column["null_count"] != rows - len(values):
            problems.append(f"{name}: {column['null_count']} nulls, not {rows - len(values)}")
        low, high = column.get("min"), column.get("max")
        texts = all(isinstance(v, str) for v in values)
        if (low is None) != (high is None) and not texts:
            problems.append(f"{name}: one bound")
        if texts:
            _check_texts(name, low, high, values, problems)
        elif all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
            _check_numbers(name, low, high, values, problems)
        elif all(isinstance(v, (bool, bytes)) for v in values) and low is not None:
            problems.append(f"{name}: bounds of what has none")


def _check_texts(name, low, high, values, problems):
    for bound, choose in ((low, min), (high, max)):
        if bound is None or MAYBE_TIME.match(bound):
            continue
        found = choose(values, key=str.encode, default=None)
        if bound != found:
            problems.append(f"{name}: bound {bound!r}, not {found!r}")
        if len(bound.encode()) > 1024:
            problems.append(f"{name}: a bound over 1 KiB")


def _check_numbers(name, low, high, values, problems):
    values = [value for value in values if not math.isnan(value)]
    infinite = any(math.isinf(value) for value in values)
    if low is None:
        return
    if infinite or not values:
        problems.append(f"{name}: bounds of {'infinite numbers' if infinite else 'nothing'}")
        return
    # A float32 is written with as many digits as tell it apart.
    near = math.isclose(low, min(values), rel_tol=1e-7)
    if not (near and math.isclose(high, max(values), rel_tol=1e-7)):
        problems.append(f"{name}: {low} to {high}, not {min(values)} to {max(values)}")


def check_partition(partition, columns, problems):
    """The records of a file in a partition have its values; keys stay inside them."""
    for segment in filter(None, partition.split("/")):
        key, _, text = segment.partition("=")
        for value in columns.get(key, [object()]):
            wanted = value_text(value)
            if wanted is not None and "\ufffd" in wanted[0]:
                continue  # the name has the bytes that this stands for
            if wanted is not None and text not in [encoded(w.encode()) for w in wanted]:
                problems.append(f"{key} {value!r} in the partition {segment}")


def value_text(value):
    """The texts that a value may have in a partition's name; None: not looked at here."""
    if value is None:
        return ["<nil>"]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    if isinstance(value, int):
        return [str(value)]
    if isinstance(value, str):
        # A time has become text in JSON; its name is its date.
        return [value, value[:10]] if MAYBE_TIME.match(value) else [value]
    return None
