"""References into GRIB 2 files: each message is a chunk, decoded by eccodes as it is read.

Messages are found by their own lengths. Those of one field — short name, type of level, type of
step, grid — are one variable; date and time, step, level and member become dimensions where they
differ.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from holdfast.errors import Invalid, NotFound, Unsupported
from holdfast.interop.grib_codec import CODEC
from holdfast.interop.references import Readable, ReferenceBuilder, ReferenceSet

_DOING = "making references to"
_HEADER = 16
_END = b"7777"
MAX_MESSAGE = 1 << 30
"""Bytes of a message that is read at once."""

_AXES = ("number", "time", "step", "level")
"""Dimensions, outermost first."""

_GRID = ("md5GridSection", "Nx", "Ny", "numberOfPoints", "gridType")
_ATTRIBUTES = ("gridType", "typeOfLevel", "stepType", "paramId", "shortName", "dataType")


@dataclass(frozen=True, slots=True)
class Message:
    """What a variable needs to know of one message."""

    offset: int
    length: int
    name: str
    group: tuple[Any, ...]
    at: Mapping[str, int]
    attributes: Mapping[str, Any]


def grib_references(file: Readable, *, variables: Collection[str] | None = None) -> ReferenceSet:
    """References to the fields of the GRIB 2 file `file`.

    Variables are named as in CF (``t2m``); several of one name, on other levels or grids, have
    these in their names (``t_isobaricInhPa``). Values are floats of 32 bits, NaN where missing.

    Args:
        variables: the names to take; None: all.

    Raises:
        Invalid: bytes that are not GRIB; names their offset.
        Unsupported: GRIB 1; eccodes is not installed; two messages of one field for one time,
            step, level and member.
        NotFound: a name in `variables` that the file does not have.
    """
    builder = ReferenceBuilder(file)
    builder.add_metadata(".zgroup", {"zarr_format": 2})
    builder.add_metadata(".zattrs", {"Conventions": "CF-1.7"})
    groups: dict[tuple[Any, ...], list[Message]] = defaultdict(list)
    for message in _messages(file):
        groups[message.group].append(message)
    named = _named(groups)
    if variables is not None:
        missing = set(variables) - set(named)
        if missing:
            raise NotFound(_DOING, file.path, found=f"no variable {min(missing)}")
        named = {name: group for name, group in named.items() if name in variables}
    _Fields(file, builder).add(named)
    return builder.finish()


def message_ranges(file: Readable) -> Iterator[tuple[int, int]]:
    """Offset and length in bytes of each message of `file`; bytes of 0 between them are passed.

    Raises:
        Invalid: something else, or a message that the file ends in. Names the offset.
        Unsupported: GRIB 1.
    """
    at = 0
    while at < file.size:
        head = file.read_at(at, _HEADER)
        if not head.strip(b"\0"):
            at += len(head)
            continue
        at += len(head) - len(head.lstrip(b"\0"))
        head = file.read_at(at, _HEADER)
        if not head.startswith(b"GRIB") or len(head) < _HEADER:
            raise Invalid(_DOING, file.path, offset=at, found="no GRIB message")
        if head[7] != 2:
            raise Unsupported(_DOING, file.path, found=f"GRIB edition {head[7]}", expected="2")
        length = int.from_bytes(head[8:16], "big")
        if length < _HEADER + 4 or at + length > file.size or length > MAX_MESSAGE:
            raise Invalid(_DOING, file.path, offset=at, found=f"a message of {length} bytes")
        if file.read_at(at + length - 4, 4) != _END:
            raise Invalid(_DOING, file.path, offset=at, found="a message without its end")
        yield at, length
        at += length


def _messages(file: Readable) -> Iterator[Message]:
    for offset, length in message_ranges(file):
        with _decoded(file, offset, length) as (eccodes, handle):
            message = _message(eccodes, handle, offset, length)
        yield message


@contextmanager
def _decoded(file: Readable, offset: int, length: int) -> Iterator[tuple[Any, Any]]:
    """eccodes, and its handle of a message. Its errors become `Invalid`."""
    try:
        import eccodes
    except ImportError as error:
        raise Unsupported(
            _DOING, file.path, found=str(error), hint='install "holdfast[grib]"'
        ) from None
    handle = None
    try:
        handle = eccodes.codes_new_from_message(file.read_at(offset, length))
        yield eccodes, handle
    except (eccodes.CodesInternalError, ValueError, TypeError) as error:
        raise Invalid(_DOING, file.path, offset=offset, found=str(error)) from None
    finally:
        if handle is not None:
            eccodes.codes_release(handle)


def _message(eccodes: Any, handle: Any, offset: int, length: int) -> Message:
    def get(key: str, kind: Any = None) -> Any:
        try:
            return eccodes.codes_get(handle, key, kind)
        except eccodes.KeyValueNotFoundError:
            return None

    moment = f"{get('dataDate'):08d}T{get('dataTime'):04d}"
    # In seconds, whatever unit the message has.
    eccodes.codes_set(handle, "stepUnits", "s")
    values = {
        "number": get("number", int) or 0,
        "time": _seconds(moment),
        "step": get("endStep", int),
        "level": get("level", int) or 0,
    }
    short = get("shortName")
    name = get("cfVarName") or short
    grid = tuple(get(key) for key in _GRID)
    attributes: dict[str, Any] = {f"GRIB_{key}": get(key) for key in _ATTRIBUTES}
    for key, source in (("units", "units"), ("long_name", "name"), ("standard_name", "cfName")):
        if get(source) not in (None, "unknown"):
            attributes[key] = get(source)
    return Message(
        offset,
        length,
        name if name not in (None, "unknown", "~") else f"param_{get('paramId')}",
        (name, short, get("typeOfLevel"), get("stepType"), grid),
        values,
        attributes,
    )


def _seconds(moment: str) -> int:
    from datetime import UTC, datetime

    try:
        return int(datetime.strptime(moment, "%Y%m%dT%H%M").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise Invalid("reading the time of", "a GRIB message", found=moment) from None


def _named(groups: Mapping[tuple[Any, ...], list[Message]]) -> dict[str, list[Message]]:
    """The groups by the names of their variables."""
    counts: dict[str, int] = defaultdict(int)
    for messages in groups.values():
        counts[messages[0].name] += 1
    out: dict[str, list[Message]] = {}
    for group, messages in groups.items():
        name = messages[0].name
        if counts[name] > 1:
            name = "_".join(str(part) for part in (name, group[2], group[3]) if part)
        number = 2
        unique = name
        while unique in out:
            unique, number = f"{name}_{number}", number + 1
        out[unique] = messages
    return out


class _Fields:
    """Adds variables and their coordinates."""

    def __init__(self, file: Readable, builder: ReferenceBuilder) -> None:
        self._file = file
        self._builder = builder
        self._axes: dict[str, tuple[str, tuple[int, ...]]] = {}
        self._grids: dict[tuple[Any, ...], tuple[list[str], list[int], list[str]]] = {}

    def add(self, named: Mapping[str, list[Message]]) -> None:
        for name, messages in named.items():
            self._variable(name, messages)

    def _variable(self, name: str, messages: list[Message]) -> None:
        axes = {axis: sorted({m.at[axis] for m in messages}) for axis in _AXES}
        varying = [axis for axis, values in axes.items() if len(values) > 1]
        dimensions, coordinates = [], []
        for axis, values in axes.items():
            coordinate = self._axis(axis, values, messages[0], scalar=axis not in varying)
            if axis in varying:
                dimensions.append(coordinate)
            else:
                coordinates.append(coordinate)
        grid_dimensions, grid_shape, grid_coordinates = self._grid(messages[0])
        positions = {a: {v: i for i, v in enumerate(axes[a])} for a in varying}
        seen: set[tuple[int, ...]] = set()
        for message in messages:
            index = tuple(positions[axis][message.at[axis]] for axis in varying)
            if index in seen:
                raise Unsupported(
                    _DOING,
                    self._file.path,
                    offset=message.offset,
                    found=f"variable {name}: a second message for {dict(message.at)}",
                )
            seen.add(index)
            key = ".".join(map(str, index + (0,) * len(grid_shape)))
            self._builder.add_range(f"{name}/{key}", message.offset, message.length)
        shape = [len(axes[axis]) for axis in varying] + grid_shape
        self._array(
            name,
            shape,
            [1] * len(varying) + grid_shape,
            "<f4",
            {"id": CODEC, "var": "values", "dtype": "float32"},
            "NaN",
            dict(messages[0].attributes)
            | {"coordinates": " ".join([*coordinates, *grid_coordinates])},
            [*dimensions, *grid_dimensions],
        )

    def _axis(self, axis: str, values: list[int], message: Message, *, scalar: bool) -> str:
        """Add the coordinate of `values`, once for each; its name."""
        import numpy as np

        name = axis
        if axis == "level":
            name = str(message.attributes.get("GRIB_typeOfLevel") or axis)
        key = tuple(values)
        base, number = name, 2
        while name in self._axes and self._axes[name] != (axis, key):
            name, number = f"{base}_{number}", number + 1
        if name in self._axes:
            return name
        self._axes[name] = (axis, key)
        kinds: dict[str, dict[str, Any]] = {
            "time": {
                "units": "seconds since 1970-01-01T00:00:00",
                "calendar": "proleptic_gregorian",
                "standard_name": "forecast_reference_time",
            },
            "step": {"units": "seconds", "long_name": "time since forecast_reference_time"},
            "number": {"units": "1", "standard_name": "realization"},
            "level": {"long_name": "level"},
        }
        attributes = kinds[axis]
        if axis == "step":
            attributes = attributes | {"dtype": "timedelta64[ns]"}
        data = np.array(values, "<i8")
        shape = [] if scalar else [len(values)]
        self._array(name, shape, shape, "<i8", None, None, attributes, [] if scalar else [name])
        self._builder.add_inline(f"{name}/0", data.tobytes())
        return name

    def _grid(self, message: Message) -> tuple[list[str], list[int], list[str]]:
        """Add the coordinates of the message's grid, once. Its dimensions, its shape, and the
        coordinates that are not dimensions."""
        grid = message.group[4]
        known = self._grids.get(grid)
        if known is not None:
            return known
        suffix = "" if not self._grids else f"_{len(self._grids) + 1}"
        with _decoded(self._file, message.offset, message.length) as (eccodes, handle):
            points = eccodes.codes_get(handle, "numberOfPoints")
            shape = [points]
            dimensions = [f"values{suffix}"]
            coordinates: list[str] = []
            if grid[1] and grid[2] and _whole(grid[1]) * _whole(grid[2]) == points:
                shape = [_whole(grid[2]), _whole(grid[1])]
                dimensions = [f"y{suffix}", f"x{suffix}"]
                self._check_scanning(eccodes, handle, message)
            if len(shape) == 2 and eccodes.codes_get(handle, "gridType") == "regular_ll":
                dimensions = [f"latitude{suffix}", f"longitude{suffix}"]
                latitudes = eccodes.codes_get_array(handle, "latitudes").reshape(shape)[:, 0]
                longitudes = eccodes.codes_get_array(handle, "longitudes").reshape(shape)[0]
                self._degrees(dimensions[0], "latitude", latitudes)
                self._degrees(dimensions[1], "longitude", longitudes)
            else:
                coordinates = [f"latitude{suffix}", f"longitude{suffix}"]
                for name in coordinates:
                    kind = name.removesuffix(suffix)
                    codec = {"id": CODEC, "var": kind, "dtype": "float64"}
                    self._array(name, shape, shape, "<f8", codec, None, _units(kind), dimensions)
                    key = ".".join("0" for _ in shape)
                    self._builder.add_range(f"{name}/{key}", message.offset, message.length)
        self._grids[grid] = (dimensions, shape, coordinates)
        return self._grids[grid]

    def _degrees(self, name: str, kind: str, values: Any) -> None:
        size = [len(values)]
        self._array(name, size, size, "<f8", None, None, _units(kind), [name])
        self._builder.add_inline(f"{name}/0", values.astype("<f8").tobytes())

    def _check_scanning(self, eccodes: Any, handle: Any, message: Message) -> None:
        for key in ("jPointsAreConsecutive", "alternativeRowScanning"):
            try:
                value = eccodes.codes_get(handle, key, int)
            except eccodes.KeyValueNotFoundError:
                continue
            if value:
                raise Unsupported(
                    _DOING, self._file.path, offset=message.offset, found=f"the scanning mode {key}"
                )

    def _array(
        self,
        name: str,
        shape: list[int],
        chunks: list[int],
        dtype: str,
        codec: dict[str, Any] | None,
        fill: Any,
        attributes: Mapping[str, Any],
        dimensions: list[str],
    ) -> None:
        metadata = {
            "zarr_format": 2,
            "shape": shape,
            "chunks": chunks,
            "dtype": dtype,
            "compressor": None,
            "filters": None if codec is None else [codec],
            "fill_value": fill,
            "order": "C",
            "dimension_separator": ".",
        }
        self._builder.add_metadata(f"{name}/.zarray", metadata)
        self._builder.add_metadata(
            f"{name}/.zattrs", dict(attributes) | {"_ARRAY_DIMENSIONS": dimensions}
        )


def _whole(value: Any) -> int:
    # Nx and Ny are missing, all bits set, on reduced grids.
    return value if isinstance(value, int) and 0 < value < 2**31 - 1 else 0


def _units(kind: str) -> dict[str, Any]:
    unit = "degrees_north" if kind == "latitude" else "degrees_east"
    return {"units": unit, "standard_name": kind, "long_name": kind}
