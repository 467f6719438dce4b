"""What there is to say about a whole cohort: what its cases agree on, and how many of them hold what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gpuprep.store.layout import CASES_FOLDER, RECORD_FILE
from gpuprep.store.reader import open_cohort
from gpuprep.values.agreement import Agreement, Classes

_SHOWN = 30  # values of a label map


@dataclass(frozen=True)
class CohortView:
    """A cohort as a whole.

    Attributes:
        path: Its folder.
        cases: Their number.
        agreement: What they agree on.
        labelled: Cases that have each label map.
        values: Cases that have each value but 0 of each label map.
        outputs: The names of the outputs of each case.
    """

    path: Path
    cases: int
    agreement: Agreement
    labelled: Mapping[str, int]
    values: Mapping[str, Mapping[int, int]]
    outputs: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "cohort",
            "path": str(self.path),
            "cases": self.cases,
            "outputs": list(self.outputs),
            "agreement": self.agreement.to_json(),
            "labelled": dict(self.labelled),
            "values": {
                name: {str(value): number for value, number in counts.items()}
                for name, counts in self.values.items()
            },
        }


def is_cohort(path: Path) -> bool:
    """Whether a folder is the output of a run rather than one case."""
    return (path / CASES_FOLDER).is_dir() and not (path / RECORD_FILE).is_file()


def inspect_cohort(path: Path, output: str | None = None) -> CohortView:
    """Look at the cohort of an output folder; cases that the manifest tells of are not opened.

    ``output`` names one of several outputs of the cases, by default the first.

    >>> seen = inspect_cohort(Path("cohort"))
    >>> seen.cases, dict(seen.labelled)
    (2, {'segmentation': 2})

    Raises:
        StoreError: an older version wrote the cohort, and its cases disagree.
        CorruptStoreError: its agreement, or a case that had to be opened, is damaged.
    """
    cohort = open_cohort(path, output=output)
    held = cohort.known.holdings(cohort.ids).values()
    names = sorted({*cohort.agreement.labels, *(name for each in held for name in each.labels)})
    values = {
        name: Counter(v for each in held for v in each.labels.get(name, ()) if v) for name in names
    }
    return CohortView(
        path,
        len(held),
        cohort.agreement,
        {name: sum(name in each.labels for each in held) for name in names},
        {name: dict(sorted(counts.items())) for name, counts in values.items()},
        cohort.outputs,
    )


def cohort_page(seen: CohortView) -> Group:
    """The cohort as text and tables, for a console."""
    channels = ", ".join(seen.agreement.channels) or "none known"
    lines: list[RenderableType] = [
        Text.assemble((seen.path.name, "bold"), "  cohort  ", (str(seen.path), "dim")),
        Text(f"cases     {seen.cases}"),
        Text(f"channels  {channels}"),
        *([Text(f"outputs   {', '.join(seen.outputs)}")] if seen.outputs else ()),
    ]
    for name, number in seen.labelled.items():
        classes = seen.agreement.labels.get(name, Classes())
        lines.append(
            _table(f"label {name}: {number} of {seen.cases} cases", classes, seen.values[name])
        )
        regions = [f"{region} {list(values)}" for region, values in classes.regions.items()]
        if regions:
            lines.append(Text(f"regions   {', '.join(regions)}"))
    return Group(*lines)


def _table(title: str, classes: Classes, found: Mapping[int, int]) -> Table:
    table = Table(title=title, title_justify="left", box=None)
    for column in ("", "value", "cases"):
        table.add_column(column, justify="left" if not column else "right")
    values = sorted({*classes.names, *found})
    for value in values[:_SHOWN]:
        name = classes.names.get(value, f"label {value}")
        told = f"{name} (to be ignored)" if value == classes.ignore else name
        table.add_row(escape(told), str(value), f"{found.get(value, 0):,}")
    if len(values) > _SHOWN:
        table.add_row(f"… and {len(values) - _SHOWN} more", "", "")
    return table
