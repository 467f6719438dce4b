"""``store``: how arrays are stored."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gpuprep.config.strict import Count, Strict

FRACTION_BITS = {"float16": 10, "float32": 23}
"""Stored bits of the fraction of floating dtypes."""

Dtype = Literal["float16", "float32", "int16"]
Edge = Literal[16, 32, 48, 64]
Codec = Literal["balanced", "tight", "fast", "dense", "gpu"]
Levels = Literal[0, 1, 2]


class NnunetFiles(Strict):
    """Files as nnU-Net 2.8 keeps preprocessed cases, in place of Zarr arrays."""

    patch: tuple[Count, ...]
    """What trainings read at a time, in the order of the stored axes; chunks are cut to suit it."""
    forward: tuple[int, int, int] = (0, 1, 2)
    """The order of the stored axes, as numbers of ``z, y, x``; nnU-Net's ``transpose_forward``."""
    locations: tuple[int | tuple[int, ...], ...] = ()
    """Each class, or region by its values, of which voxels are listed, in the order of drawing."""
    reader: str = "SimpleITKIO"
    """nnU-Net's class that reads the data set's files: each has properties of its own for the way back."""

    @model_validator(mode="after")
    def _axes(self) -> Self:
        if sorted(self.forward) != [0, 1, 2] or len(self.patch) not in (2, 3):
            raise ValueError("forward is an order of the axes 0, 1, 2; patch has 2 or 3 edges")
        if () in self.locations:
            raise ValueError("locations: a region has a value at least")
        return self


class Store(Strict):
    """How arrays are stored."""

    dtype: Dtype = "float16"
    chunk: Edge = 32
    codec: Codec = "balanced"
    keep_bits: Annotated[int, Field(ge=1)] | None = None
    """Round images to so many bits of the fraction (float16 has 10, float32 23), a half to even, or keep all.

    What is left out should be noise; files shrink. Every case tells its largest and mean error (W_ROUNDED).
    """
    pyramid: Levels = 0
    """Coarser levels stored beside the full resolution, each of half the voxels along every axis."""
    fsync: Literal["always", "commit", "never"] = "commit"
    """When to wait for the disk: after each file, once before a case counts as done, or never.

    With ``always`` and ``commit`` a case that counts as done survives a power cut.
    """

    nnunet: NnunetFiles | None = None

    @property
    def edge(self) -> int:
        """Voxels along each edge of the chunks that arrays come in; 0 where they are to be whole."""
        return 0 if self.nnunet else self.chunk

    @model_validator(mode="after")
    def _is_float32(self) -> Self:
        if self.nnunet is not None and (self.dtype, self.pyramid) != ("float32", 0):
            raise ValueError("nnU-Net's files hold float32 and no pyramid: set dtype: float32")
        return self

    @model_validator(mode="after")
    def _has_bits(self) -> Self:
        if self.keep_bits is not None:
            bits = FRACTION_BITS.get(self.dtype)
            if bits is None:
                raise ValueError(
                    f"keep_bits rounds fractions, and {self.dtype} has none; leave it out"
                )
            if self.keep_bits >= bits:
                raise ValueError(
                    f"keep_bits: {self.keep_bits} rounds nothing: {self.dtype} has {bits} bits; "
                    f"choose 1 to {bits - 1}, or leave it out"
                )
        return self
