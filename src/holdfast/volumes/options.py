"""What a volume was opened with, beside what is stored of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from holdfast.digests import DEFAULT_ALGORITHM, hasher
from holdfast.errors import Invalid
from holdfast.snapshotting.commit import Expected

if TYPE_CHECKING:
    from holdfast.snapshotting.chain import Chain
    from holdfast.volumes.manifest import VolumeManifest

OnConflict = Literal["retry", "raise"]
NONE = "none"
LONGEST = (1 << 63) - 1
"""Largest address space: offsets of the format are signed 64-bit integers."""


@dataclass(frozen=True, slots=True)
class VolumeOptions:
    """Total length in bytes, and algorithm of the blocks' checksums (or "none"), each None where
    what is stored shall decide.

    Raises:
        Invalid: a length that no volume can have.
        Unsupported: an unknown checksum.
    """

    volume: str
    total_length: int | None
    named_checksum: str | None

    def __post_init__(self) -> None:
        length = self.total_length
        if length is not None and (type(length) is not int or not 1 <= length <= LONGEST):
            raise Invalid(
                "opening the volume",
                self.volume,
                found=f"a total length of {length!r:.80}",
                expected=f"1 to {LONGEST} bytes",
            )
        if self.checksum:
            hasher(self.checksum)

    @property
    def checksum(self) -> str | None:
        """The algorithm as manifests have it: "" for none."""
        return "" if self.named_checksum == NONE else self.named_checksum

    def resolve(self, chain: Chain[VolumeManifest]) -> tuple[int, str]:
        """Total length and checksum, as stored or else as given.

        Raises:
            Invalid: what is stored differs, or nobody says the length.
        """
        stored = chain.newest()
        if stored is not None and not _stands_in(stored.manifest):
            self.check_like(stored.manifest)
            return stored.manifest.total_length, stored.manifest.checksum_algorithm
        if self.total_length is None:
            raise Invalid(
                "opening the volume",
                self.volume,
                found="a new volume without a total length",
                hint="give total_length=",
            )
        checksum = self.checksum
        return self.total_length, DEFAULT_ALGORITHM if checksum is None else checksum

    def check_like(self, manifest: VolumeManifest) -> None:
        """Raises `Invalid` where a manifest says other than the caller."""
        if _stands_in(manifest):
            return
        for name, ours, theirs in (
            ("total length", self.total_length, manifest.total_length),
            ("checksum", self.checksum, manifest.checksum_algorithm),
        ):
            if ours is not None and ours != theirs:
                raise Invalid(
                    "opening the volume",
                    self.volume,
                    found=f"the {name} {theirs or NONE}",
                    expected=f"{ours or NONE}, as it was opened with",
                )


def expected(
    chain: Chain[VolumeManifest], parent: str | None, on_conflict: OnConflict
) -> Expected | None:
    """What the newest snapshot has to be at the commit."""
    if on_conflict not in ("retry", "raise"):
        raise Invalid(
            "committing to",
            f"volume {chain.places.name}",
            found=f"on_conflict={on_conflict!r}",
            expected="'retry' or 'raise'",
        )
    if parent is not None:
        return Expected(parent)
    if on_conflict == "retry":
        return None
    latest = chain.latest()
    return Expected(None if latest is None else latest.id)


def _stands_in(manifest: VolumeManifest) -> bool:
    """Whether this is the marked snapshot of a volume that nobody wrote yet: the writer of its
    first one died."""
    return bool(manifest.mark) and not manifest.blocks
