"""Leaving out the bits of a stored image that are noise, and telling how much that changes."""

from __future__ import annotations

import math
from typing import Any

from gpuprep.ops.bits import round_in_place, worst
from gpuprep.ops.operations import Image
from gpuprep.values.findings import Findings
from gpuprep.values.volume import Chunked


def round_image(
    image: Image | None, keep_bits: int | None, findings: Findings, threads: int = 1
) -> dict[str, Any]:
    """Round an image (``z, y, x`` or ``c, z, y, x``) in place; what the record says of it.

    It lies on the host, whichever engine computed it, so that both give the same bits.

    Raises:
        InputError: W_ROUNDED, where the policy makes it an error.
    """
    if image is None or keep_bits is None:
        return {}
    voxels = image.blocks if isinstance(image, Chunked) else image
    channels = [voxels] if image.ndim == 3 else list(voxels)
    count = math.prod(image.shape[-3:])
    errors = [round_in_place(channel, keep_bits, count, threads) for channel in channels]
    most = worst(errors)
    findings.report(
        "W_ROUNDED",
        f"the image was rounded to {keep_bits} bits of the fraction: by {most.largest:g} at most, "
        f"by {most.rms:g} in the mean (RMS), in stored units",
        advice="Leave store.keep_bits out to keep every bit.",
        keep_bits=keep_bits,
        **most.to_json(),
    )
    return {"rounding": {"keep_bits": keep_bits, "channels": [each.to_json() for each in errors]}}
