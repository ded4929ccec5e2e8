"""Records on their way into data files: by partition, one encoder for each file that is open."""

from __future__ import annotations

import resource
import warnings
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from holdfast.datasets.output import Output, Part
from holdfast.datasets.partition import partition_chunk
from holdfast.errors import Invalid, Unsupported

if TYPE_CHECKING:
    from holdfast.datasets.codecs.protocol import Chunk, Encoder
    from holdfast.datasets.options import Form
    from holdfast.store.protocol import Store

OPEN = 200
"""Partitions whose files are open at once; a further one closes that which was used least lately,
and what comes for it later goes into another file."""


class _Open:
    __slots__ = ("encoder", "output")

    def __init__(self, output: Output, encoder: Encoder) -> None:
        self.output = output
        self.encoder = encoder


class Recorder:
    """Encodes chunks of records into parts. Use `finish` or `abort`; not for several threads."""

    def __init__(self, store: Store, folder: str, form: Form) -> None:
        assert form.codec is not None
        self._store = store
        self._folder = folder
        self._form = form
        self._codec = form.codec
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._parts: list[Part] = []
        self._large = 0
        self._most = max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        # A large file that is open has a descriptor too.
        self._most_open = min(OPEN, self._most // 2)

    def write(self, chunk: Chunk) -> None:
        """Take a chunk of records.

        Raises:
            SchemaViolation: a record that does not fit, or has no partition key.
        """
        if len(chunk) == 0:
            return
        if not self._form.keys:
            self._encoder("").write(chunk)
        else:
            for partition, part in partition_chunk(chunk, self._form.keys):
                self._encoder(partition).write(part)

    def begin(self) -> None:
        """Open the file of a snapshot without partitions, for a stream of no records."""
        if not self._open and not self._parts:
            self._encoder("")

    def finish(self) -> list[Part]:
        """End all files; what they hold is durable or in memory, and waits for its names."""
        while self._open:
            self._end_one()
        parts, self._parts = self._parts, []
        return parts

    def abort(self) -> None:
        """Drop all; idempotent."""
        for entry in self._open.values():
            entry.output.abort()
        self._open.clear()
        for part in self._parts:
            part.close()
        self._parts = []

    def _encoder(self, partition: str) -> Encoder:
        entry = self._open.get(partition)
        if entry is None:
            if len(self._open) >= self._most_open:
                self._end_one()
            output = Output(self._store, self._folder, self._form.compressor, self._form.checksum)
            entry = self._open[partition] = _Open(output, self._codec.encoder(output))
        self._open.move_to_end(partition)
        return entry.encoder

    def _end_one(self) -> None:
        partition, entry = next(iter(self._open.items()))
        stats = entry.encoder.finish()
        longest = getattr(entry.encoder, "longest_line", 0)
        if longest:
            warnings.warn(
                f"a record of {longest} bytes in {self._folder}: the Go implementation of this "
                "format cannot read lines of 10 MiB and more",
                stacklevel=2,
            )
        part = entry.output.finish(partition, stats, stats.row_count)
        del self._open[partition]
        self._parts.append(part)
        # A staged file stays open, and locked, until it has its name.
        self._large += part.staged is not None
        if self._large > self._most:
            raise Unsupported(
                "writing a snapshot",
                self._folder,
                found=f"more than {self._most} partitions with large files",
                hint="write it as several snapshots, with append, or raise the limit of open files",
            )


def raw_part(store: Store, folder: str, form: Form, data: Any) -> Part:
    """A part with raw bytes: a bytes-like object, or a binary file that is read to its end.

    Raises:
        Invalid: neither of the two.
    """
    if not hasattr(data, "read"):
        try:
            memoryview(data)
        except TypeError:
            raise Invalid(
                "writing a blob in",
                folder,
                found=f"a {type(data).__name__}",
                expected="bytes, or a binary file",
                hint="a raw dataset takes no records; name a codec for them",
            ) from None
    output = Output(store, folder, form.compressor, form.checksum)
    try:
        if hasattr(data, "read"):
            while piece := data.read(1 << 20):
                output.write(piece)
        else:
            output.write(data)
        # The original counts a blob as one row.
        return output.finish("", None, 1)
    except BaseException:
        output.abort()
        raise
