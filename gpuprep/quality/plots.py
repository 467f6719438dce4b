"""A distribution as inline SVG, which shows without any script."""

from __future__ import annotations

from html import escape
from typing import Any

from gpuprep.quality.wording import number_text

_WIDTH, _HEIGHT, _TOP, _BOTTOM = 300, 118, 14, 20
_SIDE = 5  # left free at both ends


def histogram_svg(measure: dict[str, Any]) -> str:
    """A measure as ``/qc`` tells it: its bars, each bin equally wide, the usual range and the median."""
    edges, counts = measure["edges"], measure["counts"]
    floor, most = _HEIGHT - _BOTTOM, max(1, *counts)
    low, median, high = (_across(measure[name], edges) for name in ("low", "median", "high"))
    title = escape(_said(measure))
    parts = [
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">'
    ]
    if high > low:
        parts.append(
            f'<rect class="usual" fill="#eef1f4" x="{low:.1f}" y="{_TOP}" width="{high - low:.1f}" '
            f'height="{floor - _TOP}"/>'
        )
    parts += [
        f'<path class="all" fill="#b9c0c8" d="{_bars(counts, most)}"/>',
        _line("median", median, median, _TOP, floor),
        _line("axis", 0, _WIDTH, floor, floor),
        f'<text x="0" y="10" font-size="11">{most:,}</text>',
        f'<text x="0" y="{_HEIGHT - 4}" font-size="11">{escape(number_text(edges[0]))}</text>',
        f'<text x="{_WIDTH}" y="{_HEIGHT - 4}" font-size="11" text-anchor="end">'
        f"{escape(number_text(edges[-1], measure['unit']))}</text>",
        "</svg>",
    ]
    return "".join(parts)


def _line(name: str, left: float, right: float, top: float, foot: float) -> str:
    return (
        f'<line class="{name}" stroke="#57606a" x1="{left:.1f}" x2="{right:.1f}" '
        f'y1="{top:.1f}" y2="{foot:.1f}"/>'
    )


def _bars(counts: list[int], most: int) -> str:
    width, floor = (_WIDTH - 2 * _SIDE) / len(counts), _HEIGHT - _BOTTOM
    found = []
    for place, number in enumerate(counts):
        if number:
            tall = max(1.5, number / most * (floor - _TOP))  # one of ten thousand is seen, too
            left = _SIDE + place * width
            found.append(f"M{left:.1f} {floor}v{-tall:.1f}h{max(0.5, width - 1):.1f}v{tall:.1f}z")
    return "".join(found)


def _across(value: float, edges: list[float]) -> float:
    """Where a value lies, each bin being equally wide."""
    place = next((k for k in range(len(edges) - 1) if value <= edges[k + 1]), len(edges) - 2)
    start, stop = edges[place], edges[place + 1]
    share = min(1.0, max(0.0, (value - start) / (stop - start)))
    return _SIDE + (place + share) / (len(edges) - 1) * (_WIDTH - 2 * _SIDE)


def _said(measure: dict[str, Any]) -> str:
    edges, unit = measure["edges"], measure["unit"]
    cases = sum(measure["counts"])
    return (
        f"{measure['title']}: {cases:,} cases from {number_text(edges[0])} to "
        f"{number_text(edges[-1], unit)}, median {number_text(measure['median'], unit)}"
    )
