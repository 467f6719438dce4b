"""What label maps lose on the way to the stored grid, counted and held against ``label.loss``."""

from __future__ import annotations

from collections.abc import Mapping

from gpuprep.values.findings import Findings

Counts = Mapping[int, int]
"""Voxels per label value, background left out."""


class Losses:
    """Adds up what each label map lost so far; a share above ``limit`` is an error."""

    def __init__(self, limit: float, kept: Mapping[str, float] | None = None) -> None:
        self._limit = limit
        self._kept = dict(kept or {})

    @property
    def kept(self) -> dict[str, float]:
        """The share of each label map that is left, of those that lost any."""
        return dict(self._kept)

    def copy(self) -> Losses:
        """The same so far, to be added to separately."""
        return Losses(self._limit, self._kept)

    def report(
        self, name: str, before: Counts, inside: Counts, place: str, findings: Findings
    ) -> None:
        """Note that of a label map only the voxels ``inside`` a place go on.

        Raises:
            InputError: E_LABEL_LOST, where what the map lost in all is above the limit.
        """
        lost = {value: count - inside.get(value, 0) for value, count in before.items()}
        lost = {value: count for value, count in lost.items() if count}
        if not lost:
            return
        total, gone = sum(before.values()), sum(lost.values())
        kept = self._kept[name] = self._kept.get(name, 1.0) * (1 - gone / total)
        code = "E_LABEL_LOST" if 1 - kept > self._limit else "W_LABEL_LOST"
        values = ", ".join(f"{value}: {count:,}" for value, count in lost.items())
        findings.report(
            code,
            f"{gone:,} of {total:,} labelled voxels of {name} ({gone / total:.2%}) lie outside {place} "
            f"(by value {values})",
            advice=f"check the label's header; label.loss allows a share of {self._limit:g}",
            voxels=gone,
            share=1 - kept,
            values={str(value): count for value, count in lost.items()},
        )

    def vanished(self, name: str, before: Counts, stored: Counts, findings: Findings) -> None:
        """Note the classes of a label map of which nothing is stored."""
        gone = {value: count for value, count in before.items() if not stored.get(value)}
        if gone:
            told = ", ".join(f"{value} ({count:,} voxels)" for value, count in gone.items())
            findings.report(
                "W_LABEL_VANISHED",
                f"nothing is stored of these classes of {name}: {told}",
                values={str(value): count for value, count in gone.items()},
            )
