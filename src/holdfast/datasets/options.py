"""How a dataset is laid out and written: what its owner says, else what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from holdfast.datasets.codecs.choose import codec_of
from holdfast.datasets.codecs.protocol import Codec
from holdfast.datasets.compressors import Compressor, compressor_of
from holdfast.datasets.draft import Components
from holdfast.datasets.layout import HIVE, Layout
from holdfast.datasets.partition import partition_keys
from holdfast.errors import Invalid

if TYPE_CHECKING:
    from holdfast.datasets.manifest import DatasetManifest

DEFAULT_CHECKSUM = "sha256"
CHECKSUMS = ("sha256", "md5", "blake2b-16")


@dataclass(frozen=True, slots=True)
class Options:
    """What the owner said; None is "as stored, else the default".

    Attributes:
        codec: ``"raw"`` stands for bytes without a codec.
        compressor: ``"none"`` or ``"noop"`` stands for no compression.
        checksum: ``"none"`` stands for none.
    """

    layout: Layout | None
    keys: tuple[str, ...] | None
    codec: Codec | str | None
    schema: Any
    compressor: Compressor | str | None
    checksum: str | None

    def check(self, dataset: str) -> None:
        """Refuse what does not go together.

        Raises:
            Invalid: hive without keys or with raw bytes, keys without hive, an unknown checksum.
            Unsupported: an unknown codec or compressor.
        """
        what = f"dataset {dataset}"
        if self.checksum is not None and self.checksum not in (*CHECKSUMS, "none"):
            raise Invalid(
                "opening", what, found=f"checksum {self.checksum!r}",
                expected=", ".join((*CHECKSUMS, "none")),
            )  # fmt: skip
        if self.codec is not None:
            codec_of(self.codec)
        if self.compressor is not None:
            compressor_of(self.compressor)
        hive = self.layout is not None and self.layout.name == HIVE.name
        if hive and self.keys is not None and not self.keys:
            raise Invalid("opening", what, found="the hive layout with no partition keys")
        if self.keys and self.layout is not None and not hive:
            raise Invalid(
                "opening", what, found=f"partition keys in the {self.layout.name} layout",
                expected="the hive layout",
            )  # fmt: skip
        if hive and self.codec == "raw":
            raise Invalid("opening", what, found="raw bytes in the hive layout", expected="a codec")
        if len(set(self.keys or ())) != len(self.keys or ()):
            raise Invalid("opening", what, found="a partition key that stands twice")


@dataclass(frozen=True, slots=True)
class Form:
    """How files are written: `codec` None is raw bytes."""

    codec: Codec | None
    compressor: Compressor
    checksum: str
    keys: tuple[str, ...]

    @property
    def components(self) -> Components:
        """The names for a manifest."""
        return Components(
            codec="" if self.codec is None else self.codec.name,
            compressor=self.compressor.name,
            partitioner="hive" if self.keys else "noop",
            checksum=self.checksum,
        )


def form_for(options: Options, stored: DatasetManifest | None, default: str) -> Form:
    """How to write: as the owner said, else as stored, else with the codec named `default`."""
    codec = options.codec
    if codec is None:
        codec = default if stored is None else stored.codec or "raw"
    compressor = options.compressor
    if compressor is None:
        compressor = "noop" if stored is None else stored.compressor
    checksum = options.checksum
    if checksum is None:
        checksum = DEFAULT_CHECKSUM if stored is None else stored.checksum_algorithm or "none"
    keys = options.keys
    if keys is None:
        keys = () if stored is None else stored_keys(stored)
    return Form(
        codec=codec_of(codec, schema=options.schema),
        compressor=compressor_of(compressor),
        checksum="" if checksum == "none" else checksum,
        keys=keys,
    )


def stored_keys(manifest: DatasetManifest) -> tuple[str, ...]:
    """The partition keys of a stored snapshot, from the paths of its files."""
    if manifest.partitioner != "hive" or not manifest.files:
        return ()
    return partition_keys(manifest.files[0].path)


def reading_codec(options: Options, manifest: DatasetManifest, dataset: str) -> Codec | None:
    """The codec that the manifest names; None: raw bytes.

    Raises:
        Invalid: the owner said another one.
        Unsupported: a codec or compressor that is not known here.
    """
    stored = manifest.codec or "raw"
    if options.codec is not None:
        configured = codec_of(options.codec)
        name = "raw" if configured is None else configured.name
        if name != stored and manifest.files:
            raise _mismatch(dataset, manifest, "codec", stored, name)
        if (
            configured is not None
            and configured.name == stored
            and not isinstance(options.codec, str)
        ):
            return configured
    if options.compressor is not None:
        name = compressor_of(options.compressor).name
        if name != manifest.compressor and manifest.files:
            raise _mismatch(dataset, manifest, "compressor", manifest.compressor, name)
    return codec_of(stored)


def _mismatch(
    dataset: str, manifest: DatasetManifest, what: str, stored: str, configured: str
) -> Invalid:
    return Invalid(
        "reading",
        f"snapshot {manifest.snapshot_id} of dataset {dataset}",
        found=f"{what} {stored}",
        expected=f"{configured}, as configured",
        hint="open the dataset without naming one, and what is stored is taken",
    )


def with_layout(options: Options, layout: Layout) -> Options:
    """`options` with the layout that was found."""
    return replace(options, layout=layout)


def keys_of(partition_by: Sequence[str] | str | None) -> tuple[str, ...] | None:
    """Partition keys as a tuple; one name counts as one key, none given as "as stored"."""
    if partition_by is None:
        return None
    return (partition_by,) if isinstance(partition_by, str) else tuple(partition_by) or None
