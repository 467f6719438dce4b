"""An inspection for people: a page of text and tables, and the words that go with its picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL.Image import Image
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gpuprep.drawing import draw_planes
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Geometry, shear_degrees
from gpuprep.viewing.provenance import facts, provenance_rows
from gpuprep.viewing.subject import Channel, Inspection, LabelMap

_SHOWN_CHANNELS = 8
_SHOWN_LABELS = 30
_SHOWN_HEIGHTS = 40
_SEVERITY = {"error": "red", "warn": "yellow", "fix": "cyan", "skip": "dim"}


def page(found: Inspection) -> Group:
    """The inspection as text and tables, for a console."""
    return Group(*_sections(found))


def draw(found: Inspection, *, label: str | None = None, channel: int = 0) -> Image:
    """Three planes of a channel with a label map over them (by default the first, if there is one).

    Raises:
        UsageError: there is no such label or channel; the message lists those there are.
    """
    chosen = _chosen_label(found, label)
    if found.grid is None or (not found.channels and chosen is None):
        raise UsageError(f"{found.id} has nothing to draw")
    if found.channels and channel >= len(found.channels):
        named = ", ".join(f"{n} ({entry.name})" for n, entry in enumerate(found.channels))
        raise UsageError(f"{found.id} has no channel {channel}", advice=f"channels: {named}")
    if found.channels:
        array, window = found.channels[channel].array, found.channels[channel].window
    else:
        assert chosen is not None
        array, window = chosen.array * 0, (0.0, 1.0)
    return draw_planes(
        array,
        found.grid,
        title=found.id,
        subtitle=_subtitle(found, channel),
        window=window,
        label=None if chosen is None else chosen.array,
        names=_legend(chosen),
    )


def _chosen_label(found: Inspection, name: str | None) -> LabelMap | None:
    if name is None:
        return found.labels[0] if found.labels else None
    for label in found.labels:
        if label.name == name:
            return label
    named = ", ".join(label.name for label in found.labels) or "none"
    raise UsageError(f"{found.id} has no label {name!r}", advice=f"labels: {named}")


def _legend(label: LabelMap | None) -> dict[int, str]:
    """What each colour means, largest structures first."""
    if label is None:
        return {}
    values = sorted((value for value in label.voxels if value), key=lambda v: -label.voxels[v])
    return {value: f"{label.name_of(value)}, {_short(label.ml(value))} ml" for value in values}


def _short(ml: float) -> str:
    return f"{ml:,.0f}" if ml >= 100 else f"{ml:.2g}"


def _subtitle(found: Inspection, channel: int) -> str:
    geometry = found.geometry
    assert geometry is not None
    size = " x ".join(str(n) for n in geometry.size)
    spacing = " x ".join(f"{s:.4g}" for s in geometry.spacing)
    parts = [f"{size} voxels of {spacing} mm", geometry.orientation]
    if geometry.oblique_degrees >= 0.1:
        parts.append(f"oblique {geometry.oblique_degrees:.1f} degrees")
    if len(found.channels) > 1:
        parts.append(f"channel {found.channels[channel].name}")
    if found.channels:
        low, high = found.channels[channel].window
        parts.append(f"window {low:.4g} to {high:.4g}")
    return ", ".join(parts)


def _sections(found: Inspection) -> Iterator[RenderableType]:
    """The printed inspection, part by part."""
    what = "stored case" if found.kind == "stored" else "input"
    yield Text.assemble((found.id, "bold"), f"  {what}  ", (str(found.path), "dim"))
    if found.geometry is not None:
        more = _header_rows(found.geometry, found.heights) if found.failure else []
        yield _pairs([*_geometry_rows(found.geometry), *more])
    if found.channels:
        rows = [_channel_row(channel) for channel in found.channels[:_SHOWN_CHANNELS]]
        left = len(found.channels) - len(rows)
        yield _pairs([*rows, ("…", f"and {left} more channels")] if left else rows)
    for label in found.labels:
        yield _label_table(label)
    yield from _finding_lines(found)
    if found.kind == "stored":
        told = provenance_rows(
            found.record, raw_bytes=found.raw_bytes, stored_bytes=found.stored_bytes
        )
        yield _pairs(told)
    elif found.headers:
        yield _pairs([("read from", facts(header)) for header in found.headers])


def _geometry_rows(geometry: Geometry) -> list[tuple[str, str]]:
    def triple(values: Any, pattern: str = "{:.6g}") -> str:
        return " × ".join(pattern.format(value) for value in values)

    extent = [n * s for n, s in zip(geometry.size, geometry.spacing, strict=True)]
    turned = geometry.oblique_degrees
    follows = f"{geometry.orientation}" + (f", oblique by {turned:.2f}°" if turned >= 0.01 else "")
    if geometry.sheared:
        follows += f", sheared by {shear_degrees(geometry.affine):.2f}°"
    return [
        ("size", f"{triple(geometry.size)} voxels (x × y × z)"),
        ("spacing", f"{triple(geometry.spacing)} mm"),
        ("field of view", f"{triple(extent, '{:.1f}')} mm"),
        ("orientation", f"{follows} (x, y, z run towards)"),
        ("origin", f"{', '.join(f'{t:.6g}' for t in geometry.origin)} mm (LPS)"),
    ]


def _header_rows(geometry: Geometry, heights: Sequence[float]) -> list[tuple[str, str]]:
    """What else helps to repair a refused input."""
    rows = ["  ".join(f"{value:.6g}" for value in row) for row in geometry.affine[:3]]
    told = [("affine (LPS)", "; ".join(rows))]
    if heights:
        shown = ", ".join(f"{height:.6g}" for height in heights[:_SHOWN_HEIGHTS])
        left = len(heights) - _SHOWN_HEIGHTS
        told.append(("slices at", f"{shown} mm" + (f" and {left} more" if left > 0 else "")))
    return told


def _channel_row(channel: Channel) -> tuple[str, str]:
    values = channel.statistics
    absent = values["nan"] + values["inf"]
    told = f", {absent:,} NaN or infinite" if absent else ""
    if values["min"] is None:
        return channel.name, f"{channel.array.dtype}, no finite voxel{told}"
    percentiles = ", ".join(f"{values['percentiles'][q]:.5g}" for q in ("0.5", "50", "99.5"))
    return channel.name, (
        f"{channel.array.dtype}, {values['min']:.5g} … {values['max']:.5g}; "
        f"percentiles 0.5, 50, 99.5: {percentiles}; "
        f"mean {values['mean']:.5g}, std {values['std']:.5g}{told}"
    )


def _label_table(label: LabelMap) -> Table:
    table = _table(f"label {label.name}", "value", "voxels", "ml")
    for value, voxels in list(label.voxels.items())[:_SHOWN_LABELS]:
        name = escape(label.name_of(value))
        table.add_row(name, str(value), f"{voxels:,}", f"{label.ml(value):,.2f}")
    if len(label.voxels) > _SHOWN_LABELS:
        table.add_row(f"… and {len(label.voxels) - _SHOWN_LABELS} more", "", "", "")
    return table


def _finding_lines(found: Inspection) -> Iterator[Text]:
    if not found.findings:
        yield Text("no findings", style="green")
    for finding in found.findings:
        line = Text.assemble((finding.severity, _SEVERITY[finding.severity]), f" {finding.code}: ")
        yield line.append(f"{finding.message} [{Path(finding.path).name or found.id}]")
        if finding.advice:
            yield Text(f"     try: {finding.advice}", style="dim")


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, head in enumerate(heads):
        table.add_column(escape(head), justify="left" if number == 0 else "right")
    return table


def _pairs(rows: list[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, text in rows:
        table.add_row(Text(name, style="dim"), Text(text))
    return table
