"""References into HDF5 and NetCDF 4 files: where each chunk lies and how it is encoded.

Nothing of the data is decoded or copied, but for what HDF5 keeps outside chunks: compact datasets
and strings of variable length go into the set, and so do small coordinates, so that opening a set
reads no data.
"""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from holdfast.errors import HoldfastError, Invalid, Unsupported
from holdfast.interop.hdf5_attributes import (
    attributes,
    dimension_lengths,
    dimension_names,
    grown_shape,
    is_bare_dimension,
)
from holdfast.interop.hdf5_heaps import SIGNATURE, check_heap
from holdfast.interop.hdf5_types import decode_filters, fill_json, zarr_type
from holdfast.interop.references import Readable, ReferenceBuilder, ReferenceSet

if TYPE_CHECKING:
    import h5py

INLINE_COORDINATE = 64 << 10
"""Stored bytes up to which a one-dimensional coordinate goes into the set."""

INLINE_STRINGS = 64 << 20
"""Encoded bytes up to which strings of variable length go into the set."""

INLINE_AGAIN = 16 << 20
"""Bytes of the chunks of one variable that are encoded again, because they skip a filter."""

MOST_AGAIN = 256 << 20
"""Bytes of such a chunk before it is encoded."""

PIECE = 8 << 20
"""Bytes of the chunks that a contiguous dataset is cut into, at most, where its shape allows."""

MAX_DEPTH = 64

_DOING = "making references to"


def hdf5_references(
    file: Readable, *, variables: Collection[str] | None = None, skip: Collection[str] = ()
) -> ReferenceSet:
    """References to the variables of the HDF5 or NetCDF 4 file `file`.

    Args:
        variables: paths of the variables to take (``temperature``, ``group/temperature``); None:
            all.
        skip: paths of variables to leave out.

    Raises:
        Unsupported: a filter, type or layout that Zarr has no word for; names the variable.
        Invalid: not an HDF5 file, or one that is damaged.
        NotFound: a name in `variables` that the file does not have.
    """
    import h5py

    from holdfast.errors import NotFound

    builder = ReferenceBuilder(file)
    reader = _Reader(file)
    with _errors(file.path), h5py.File(reader, "r", driver="fileobj") as source:
        reader.lengths = source.id.get_create_plist().get_sizes()[1]
        wanted = None if variables is None else set(variables)
        walk = _Walk(file, builder, set(skip), wanted, dimension_lengths(source))
        walk.group(source, "", 0)
    if walk.wanted is not None and walk.wanted - walk.seen:
        raise NotFound(_DOING, file.path, found=f"no variable {min(walk.wanted - walk.seen)}")
    return builder.finish()


class _Reader(io.RawIOBase):
    """`file` as h5py wants it."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._at = 0
        self._heaps: set[int] = set()
        self.lengths = 8
        """Bytes of a length in the file."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._file.size}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._file.read_at(self._at, len(view))
        if data.startswith(SIGNATURE) and self._at not in self._heaps:
            check_heap(self._file.read_at, self._at, self.lengths, self._file.path)
            self._heaps.add(self._at)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


class _errors:  # noqa: N801 - reads as a phrase: with _errors(path)
    """Errors of h5py as ours. What the file below raised passes through h5py as it is."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, HoldfastError) or not isinstance(error, Exception):
            return
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, HoldfastError):
                raise cause from None
            cause = cause.__cause__ or cause.__context__
        if isinstance(error, (OSError, RuntimeError, ValueError, KeyError, TypeError)):
            raise Invalid(_DOING, self._path, found=str(error), expected="an HDF5 file") from error


class _Walk:
    def __init__(
        self,
        file: Readable,
        builder: ReferenceBuilder,
        skip: set[str],
        wanted: set[str] | None,
        lengths: Mapping[int, int],
    ) -> None:
        self.path = file.path
        self.builder = builder
        self.skip = skip
        self.wanted = wanted
        self.lengths = lengths
        self.seen: set[str] = set()
        self._groups: set[int] = set()

    def group(self, group: h5py.Group, path: str, depth: int) -> None:
        import h5py

        address = h5py.h5o.get_info(group.id).addr
        if depth > MAX_DEPTH or address in self._groups:
            raise Unsupported(_DOING, self.path, found=f"group {path}: reached by several links")
        self._groups.add(address)
        prefix = f"{path}/" if path else ""
        self.builder.add_metadata(f"{prefix}.zgroup", {"zarr_format": 2})
        values = attributes(group, path, self.builder)
        self.builder.add_metadata(f"{prefix}.zattrs", values)
        phony: list[int] = []
        for name in group:
            if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
                raise Unsupported(
                    _DOING, self.path, found=f"{prefix}{name}: a link to another file"
                )
            item = group.get(name)  # None: a soft link to nothing
            if isinstance(item, h5py.Group):
                self.group(item, prefix + name, depth + 1)
            elif isinstance(item, h5py.Dataset):
                self._dataset(item, prefix + name, phony)

    def _dataset(self, data: h5py.Dataset, path: str, phony: list[int]) -> None:
        # NetCDF-C names a variable so that shares its name with a dimension that it does not have.
        head, slash, name = path.rpartition("/")
        path = head + slash + name.removeprefix("_nc4_non_coord_")
        if path in self.skip or (self.wanted is not None and path not in self.wanted):
            return
        self.seen.add(path)
        if not is_bare_dimension(data):
            _Variable(self.path, self.builder, data, path).add(phony, self.lengths)


class _Variable:
    def __init__(self, file: str, builder: ReferenceBuilder, data: h5py.Dataset, path: str) -> None:
        self.file = file
        self.builder = builder
        self.data = data
        self.path = path
        self.shape: tuple[int, ...] = ()

    def add(self, phony: list[int], lengths: Mapping[int, int]) -> None:
        import h5py

        if self.data.shape is None:
            raise self._unsupported("a dataset without a shape")
        self.shape = grown_shape(self.data, lengths)
        strings = h5py.check_string_dtype(self.data.dtype)
        dimensions = dimension_names(self.data, self.path, phony)
        values = attributes(self.data, self.path, self.builder)
        if strings is not None and strings.length is None:
            metadata = self._strings()
        else:
            metadata = self._numbers(dimensions, values)
        self.builder.add_metadata(f"{self.path}/.zarray", metadata)
        self.builder.add_metadata(
            f"{self.path}/.zattrs", values | {"_ARRAY_DIMENSIONS": dimensions}
        )

    def _metadata(
        self, dtype: Any, chunks: tuple[int, ...], filters: list[Any], fill: Any
    ) -> dict[str, Any]:
        return {
            "zarr_format": 2,
            "shape": list(self.shape),
            # Zarr wants chunks of at least 1.
            "chunks": [max(1, n) for n in chunks],
            "dtype": dtype,
            "compressor": None,
            "filters": filters or None,
            "fill_value": fill,
            "order": "C",
            "dimension_separator": ".",
        }

    def _strings(self) -> dict[str, Any]:
        if 4 * self.data.size > INLINE_STRINGS:  # each is 4 bytes and its text
            raise self._unsupported(f"strings of more than {INLINE_STRINGS} bytes")
        items = self.data.asstr(errors="surrogateescape")[()]
        flat = [items] if self.data.shape == () else items.ravel().tolist()
        out = [len(flat).to_bytes(4, "little")]
        size = 4
        for item in flat:
            text = item.encode("utf-8", "surrogateescape")
            size += 4 + len(text)
            if size > INLINE_STRINGS:
                raise self._unsupported(f"strings of more than {INLINE_STRINGS} bytes")
            out += (len(text).to_bytes(4, "little"), text)
        if flat:
            self.builder.add_inline(self._key((0,) * self.data.ndim), b"".join(out))
        return self._metadata("|O", self.data.shape, [{"id": "vlen-utf8"}], "")

    def _numbers(self, dimensions: list[str], values: dict[str, Any]) -> dict[str, Any]:
        data = self.data
        plist = data.id.get_create_plist()
        if data.is_virtual or plist.get_external_count():
            raise self._unsupported("data in other files")
        dtype = zarr_type(data, self._unsupported)
        filters = decode_filters(plist, self._unsupported)
        coordinate = data.ndim == 1 and dimensions == [self.path.rpartition("/")[2]]
        if data.chunks is not None:
            chunks = data.chunks
            filters, complete = self._chunked(filters, coordinate)
        else:
            chunks = data.shape
            complete = True
            if data.size:
                chunks, complete = self._contiguous(coordinate)
        fill = None
        if not complete or "_FillValue" in values:
            fill = fill_json(data, plist)
        return self._metadata(dtype, chunks, filters, fill)

    def _chunked(self, filters: list[Any], coordinate: bool) -> tuple[list[Any], bool]:
        """Add the chunks; the filters that they went through, and whether all chunks are there."""
        data = self.data
        found: list[tuple[tuple[int, ...], int, int, int]] = []
        data.id.chunk_iter(
            lambda c: found.append((c.chunk_offset, c.byte_offset, c.size, c.filter_mask))
        )
        # A filter that gains nothing may be skipped, chunk by chunk.
        every = (1 << len(filters)) - 1
        masks = {mask & every for _, _, _, mask in found}
        usual = masks.pop() if len(masks) == 1 else 0
        filters = [f for n, f in enumerate(filters) if not usual >> n & 1]
        inline = coordinate and sum(size for _, _, size, _ in found) <= INLINE_COORDINATE
        again = 0
        for offsets, offset, size, mask in found:
            index = tuple(o // c for o, c in zip(offsets, data.chunks, strict=True))
            key = self._key(index)
            if mask & every != usual:
                encoded = self._encode(offsets, filters)
                again += len(encoded)
                if again > INLINE_AGAIN:
                    raise self._unsupported(f"too many chunks that skip filters, as at {offsets}")
                self.builder.add_inline(key, encoded)
            elif inline:
                self.builder.add_inline(key, self.builder.stored(offset, size))
            else:
                self.builder.add_range(key, offset, size)
        grid = math.prod(-(-n // c) for n, c in zip(self.shape, data.chunks, strict=True))
        return filters, bool(len(found) >= grid)

    def _encode(self, offsets: tuple[int, ...], filters: list[Any]) -> bytes:
        """The chunk at `offsets`, through `filters`."""
        import numcodecs
        import numpy as np

        data = self.data
        if math.prod(data.chunks) * data.dtype.itemsize > MOST_AGAIN:
            raise self._unsupported(f"a chunk of more than {MOST_AGAIN} bytes skips filters")
        values = np.full(data.chunks, data.fillvalue, data.dtype)
        part = data[tuple(slice(o, o + c) for o, c in zip(offsets, data.chunks, strict=True))]
        values[tuple(slice(0, n) for n in part.shape)] = part
        out: Any = values
        for settings in filters:
            out = numcodecs.get_codec(dict(settings)).encode(out)
        return np.asarray(out).tobytes() if isinstance(out, np.ndarray) else bytes(out)

    def _contiguous(self, coordinate: bool) -> tuple[tuple[int, ...], bool]:
        """Add a contiguous or compact dataset that is not empty; its chunks, and whether they are
        there."""
        import h5py
        import numpy as np

        data = self.data
        size = data.size * data.id.get_type().get_size()
        if data.id.get_create_plist().get_layout() == h5py.h5d.COMPACT:
            values = np.empty(data.shape, data.dtype)
            data.read_direct(values)
            self.builder.add_inline(self._key((0,) * data.ndim), values.tobytes())
            return data.shape, True
        start = data.id.get_offset()
        if start is None or not data.id.get_storage_size():
            return data.shape, False
        self.builder.check(start, size)  # before a shape without bounds is cut
        if coordinate and size <= INLINE_COORDINATE:
            self.builder.add_inline(self._key((0,)), self.builder.stored(start, size))
            return data.shape, True
        chunks = cut(data.shape, data.id.get_type().get_size())
        length = math.prod(chunks) * data.id.get_type().get_size()
        for number, index in enumerate(_indices(data.shape, chunks)):
            self.builder.add_range(self._key(index), start + number * length, length)
        return chunks, True

    def _key(self, index: tuple[int, ...]) -> str:
        return f"{self.path}/{'.'.join(map(str, index)) or '0'}"

    def _unsupported(self, found: str) -> Unsupported:
        return Unsupported(
            _DOING,
            self.file,
            found=f"variable {self.path}: {found}",
            hint="name the variables to take, or those to skip",
            variable=self.path,
        )


def cut(shape: tuple[int, ...], item: int) -> tuple[int, ...]:
    """Chunks of equal size in which an array of `shape`, stored in one piece, is read.

    Chunks lie one after the other in the file: leading axes of 1, one axis cut by a divisor of its
    length, the rest whole; the largest of at most 8 MiB that need no more than 65,536 chunks.
    """
    chunks = list(shape)
    count = 1
    for axis, length in enumerate(shape):
        rest = math.prod(shape[axis + 1 :]) * item
        if length * rest <= PIECE:
            break
        fitting = [d for d in _divisors(length) if count * (length // d) <= 1 << 16]
        small = [d for d in fitting if d * rest <= PIECE]
        chunks[axis] = max(small) if small else min(fitting, default=length)
        count *= length // chunks[axis]
        if chunks[axis] != 1:
            break
    return tuple(chunks)


def _divisors(number: int) -> Iterator[int]:
    for low in range(1, math.isqrt(number) + 1):
        if number % low == 0:
            yield low
            yield number // low


def _indices(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    from itertools import product

    return product(*(range(n // c) for n, c in zip(shape, chunks, strict=True)))
