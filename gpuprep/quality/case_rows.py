"""Every measured number of a cohort with one row per case: as CSV, or as Parquet where PyArrow is there."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.quality.cohort_quality import CohortQuality
from gpuprep.values.errors import UsageError

_TEXTS = ("case", "channels", "labels", "orientation", "findings", "outliers", "input", "digest")


def case_columns(quality: CohortQuality) -> dict[str, NDArray[Any]]:
    """Texts first, then measures, then what else the table has; NaN and None where a case has none."""
    table = quality.table
    columns = dict(table) | {"outliers": _kinds(quality)}
    found = {name: columns[name] for name in _TEXTS if name in columns}
    measured = {each.name: each.values for each in quality.measures.values()}
    measured.pop("findings", None)  # the codes are there; without cases nothing is measured
    exact = {name: table[name] for name in measured if name in table}  # integers stay such
    return (
        found | measured | exact | {n: c for n, c in columns.items() if n not in found | measured}
    )


def to_csv(quality: CohortQuality) -> bytes:
    """UTF-8 with a header; an empty field where a case has no such number."""
    columns = case_columns(quality)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(_fields(column) for column in columns.values()), strict=True))
    return stream.getvalue().encode("utf-8", "backslashreplace")


def to_parquet(quality: CohortQuality) -> bytes:
    """The same columns; raises UsageError where PyArrow is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed",
            advice="pip install pyarrow, or take the CSV file",
        ) from error
    columns = {name: column.tolist() for name, column in case_columns(quality).items()}
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), sink)
    return bytes(sink.getvalue())


def _kinds(quality: CohortQuality) -> NDArray[Any]:
    told = quality.outliers_by_row
    kinds = np.empty(len(quality.ids), object)
    kinds[:] = [
        ", ".join(each.kind for each in told.get(row, ())) for row in range(len(quality.ids))
    ]
    return kinds


def _fields(column: NDArray[Any]) -> Iterator[Any]:
    values = column.tolist()
    if column.dtype.kind == "f":
        return ("" if value != value else value for value in values)
    return ("" if value is None else value for value in values)
