"""Damage to the bytes of a sample, whatever they mean: flipped, overwritten, cut, lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from chaos.fuzz_samples import Sample

INTEGERS = (
    0,
    1,
    2,
    -1,
    -2,
    0x7F,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
)


@dataclass(frozen=True)
class Mutant:
    """A damaged sample.

    Attributes:
        kind: Which damage.
        told: What it was, in words.
        sample: The sample with its files changed; those in ``links`` became links to there.
        must_refuse: No voxels may come of it …
        must_equal: … or none but the original's.
    """

    kind: str
    told: str
    sample: Sample
    links: dict[str, Path] = field(default_factory=dict)
    must_refuse: bool = False
    must_equal: bool = False

    def __str__(self) -> str:
        return f"{self.sample.name}, {self.kind}, {self.told}"


Mutation = Callable[[Sample, random.Random], "Mutant | None"]


def flip(sample: Sample, rng: random.Random) -> Mutant:
    name = sample.any_file(rng)
    content = bytearray(sample.files[name])
    places = [rng.randrange(len(content)) for _ in range(rng.choice((1, 1, 2, 8)))]
    for at in places:
        content[at] ^= 1 << rng.randrange(8)
    sealed = all(sample.is_sealed(name, at) for at in places)
    return Mutant(
        "flip", f"{name} at {places}", sample.with_file(name, bytes(content)), must_equal=sealed
    )


def overwrite(sample: Sample, rng: random.Random) -> Mutant:
    """A hostile integer, in either byte order, mostly in the header."""
    name = sample.any_file(rng)
    content = bytearray(sample.files[name])
    width = rng.choice((1, 2, 4, 8))
    end = min(len(content), rng.choice((400, 1200, len(content))))
    at = rng.randrange(max(1, end - width))
    number = rng.choice(INTEGERS) % (1 << 8 * width)
    content[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))
    sealed = sample.is_sealed(name, at)
    told = f"{name} at {at}: {number} in {width} bytes"
    return Mutant("overwrite", told, sample.with_file(name, bytes(content)), must_equal=sealed)


def truncate(sample: Sample, rng: random.Random) -> Mutant:
    name = sample.any_file(rng)
    length = len(sample.files[name])
    keep = rng.choice((0, length - 1, rng.randrange(length), rng.randrange(length)))
    told = f"{name} to {keep} of {length} bytes"
    return Mutant(
        "truncate", told, sample.with_file(name, sample.files[name][:keep]), must_equal=True
    )


def extend(sample: Sample, rng: random.Random) -> Mutant:
    name = sample.any_file(rng)
    more = rng.choice((b"\0", bytes(1000), rng.randbytes(100), sample.files[name]))
    told = f"{name} by {len(more)} bytes"
    return Mutant(
        "extend",
        told,
        sample.with_file(name, sample.files[name] + more),
        must_equal=name in sample.voxels_at,
    )


def cut_out(sample: Sample, rng: random.Random) -> Mutant:
    """Bytes lost in the middle; the rest moves up."""
    name = sample.any_file(rng)
    content = sample.files[name]
    at = rng.randrange(len(content))
    lost = min(rng.choice((1, 2, 4, 16, 100)), len(content) - at)
    told = f"{name}: {lost} bytes at {at}"
    changed = sample.with_file(name, content[:at] + content[at + lost :])
    return Mutant("cut out", told, changed, must_equal=sample.is_voxel(name, at))


def trailer(sample: Sample, rng: random.Random) -> Mutant | None:
    """The checksum or the length at the end of a deflate stream."""
    if not sample.sealed:
        return None
    name = next(iter(sample.voxels_at))
    content = bytearray(sample.files[name])
    at = len(content) - 1 - rng.randrange(4 if content[sample.voxels_at[name]] == 0x78 else 8)
    content[at] = (content[at] + rng.randrange(1, 256)) % 256
    return Mutant(
        "trailer", f"{name} at {at}", sample.with_file(name, bytes(content)), must_refuse=True
    )


def lost_file(sample: Sample, rng: random.Random) -> Mutant:
    """One of the files is gone, or all but one of a series."""
    name = sample.any_file(rng)
    files = {other: content for other, content in sample.files.items() if other != name}
    return Mutant("lost", name, replace(sample, files=files), must_refuse=not sample.is_dicom)
