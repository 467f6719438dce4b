"""Samples out of torch's batches, as values that can be compared."""

from typing import Any

Trace = tuple[Any, ...]


def traces(batches: Any) -> list[Trace]:
    """What each sample of some batches is: epoch, number, case, place and bytes of its voxels."""
    return [
        (int(epoch), int(number), case, tuple(start.tolist()), image.numpy().tobytes())
        for batch in batches
        for epoch, number, case, start, image in zip(
            batch["epoch"],
            batch["number"],
            batch["case"],
            batch["start"],
            batch["image"],
            strict=True,
        )
    ]
