"""The cases of a cohort as one table: a column for each thing that their records tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.columns import Columns, Numbers, Ragged, Words, objects
from gpuprep.values.errors import UsageError
from gpuprep.values.notebook import table_html

_AXES = "zyx"
_BETWEEN = ", "  # names in one text
_SHOWN = 20  # rows in a notebook


@dataclass(frozen=True, slots=True, eq=False)
class CaseTable(Mapping[str, NDArray[Any]]):
    """One row per case in natural order of ids, as NumPy columns of equal length by name.

    - ``case``, ``input``, ``digest``: texts
    - ``shape_z``, ``shape_y``, ``shape_x`` and ``spacing_z`` ... (mm) of the stored arrays;
      ``source_shape_z``, ``source_spacing_z`` ... of the file
    - ``orientation`` of the file's axes x, y, z, such as ``LPS``; ``oblique``, their largest angle to the
      patient's in degrees; ``kept``, the share of its voxels that the crop left. Empty and NaN for cases
      whose line an older version wrote; ``gpuprep index`` writes it anew
    - ``bytes`` of all stored files but the record, ``source_bytes``
    - ``channels``, ``labels``, ``findings``: names or codes, with a comma and a space between them
    - ``voxels.<label map>.<value>``: how many voxels; 0 for none, NaN where the case has no such map
    - ``statistics.<channel>.<name>`` of the source's voxels: ``mean``, ``std``, ``min``, ``max``, ``count``,
      ``p0.5`` ...; ``at_low``, ``at_high``, the share at the ends of the clip or else at the extremes;
      ``foreground``, its share; ``clip_low``, ``clip_high``, ``scale``, ``offset``, what was done with them;
      ``after_mean``, ``after_std``, once that was done; where a table was part of it, there is no ``scale``
      and ``offset``, and ``after_p0.5`` ... are told
    - ``attributes.<name>``: what the input says, None where it does not

    Attributes:
        columns: By name.
        from_records: Ids of the cases whose line was absent or older than the case, so that their records
            were read; ``gpuprep index`` writes all lines anew.
    """

    columns: Mapping[str, NDArray[Any]]
    from_records: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __repr__(self) -> str:
        return f"<CaseTable of {len(self.columns['case'])} cases, {len(self.columns)} columns>"

    def _repr_html_(self) -> str:
        """Its first rows, as a notebook shows them: grids, labels and findings."""
        cases, first = len(self.columns["case"]), slice(_SHOWN)
        grids = [
            " × ".join(f"{number:.6g}" for number in row)
            for name in ("shape", "spacing")
            for row in zip(*(self.columns[f"{name}_{axis}"][first] for axis in "xyz"), strict=True)
        ]
        told = (self.columns[name][first] for name in ("case", "labels", "findings"))
        ids, labels, findings = told
        rows = zip(ids, grids[: len(ids)], grids[len(ids) :], labels, findings, strict=True)
        heads = ("case", "size x, y, z", "spacing, mm", "labels", "findings")
        return table_html(heads, rows, cases - len(ids))

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame``; raises UsageError where pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise _missing("pandas") from error
        return pandas.DataFrame(dict(self.columns))

    def to_polars(self) -> Any:
        """A ``polars.DataFrame``; raises UsageError where polars is not installed."""
        try:
            import polars
        except ImportError as error:
            raise _missing("polars") from error
        texts = {name for name, column in self.columns.items() if column.dtype == object}
        return polars.DataFrame(
            {
                name: polars.Series(name, column.tolist(), polars.String)
                if name in texts
                else polars.Series(name, column)
                for name, column in self.columns.items()
            }
        )


def _missing(library: str) -> UsageError:
    return UsageError(
        f"a table of {library} needs {library}, which is not installed",
        advice=f"pip install {library}, or use the columns, which are NumPy arrays",
    )


def table_of(rows: Columns, from_records: Sequence[str] = ()) -> CaseTable:
    """The table of lines that are in order."""
    columns: dict[str, NDArray[Any]] = {
        name: _texts(rows[name], str) for name in ("case", "input", "digest")
    }
    for name in ("shape", "spacing", "source_shape", "source_spacing"):
        numbers = _numbers(rows, name)
        columns |= {f"{name}_{axis}": numbers[:, place] for place, axis in enumerate(_AXES)}
    columns["orientation"] = _texts(rows["orientation"], str)
    columns |= {name: _numbers(rows, name) for name in ("oblique", "kept")}
    columns["bytes"] = _row_sums(rows["sizes"])
    columns["source_bytes"] = _numbers(rows, "source_bytes")
    for name in ("channels", "labels", "findings"):
        columns[name] = _texts(rows[name], _BETWEEN.join)
    columns |= _spread(rows["labels"], rows["voxels"], _voxel_names, "voxels")
    columns |= _with_zeros(columns, rows["labels"])
    columns |= _spread(_measures(rows), rows["statistics"], _measure_names, "statistics")
    columns |= _attributes(rows["attributes"])
    return CaseTable(columns, tuple(from_records))


def _texts(column: Any, text: Callable[[Any], str]) -> NDArray[Any]:
    assert isinstance(column, Words)
    return objects([text(word) for word in column.words])[column.codes]


def _numbers(rows: Columns, name: str) -> NDArray[Any]:
    column = rows[name]
    assert isinstance(column, Numbers)
    return column.values


def _row_sums(column: Any) -> NDArray[np.int64]:
    assert isinstance(column, Ragged)
    sums = np.concatenate([[0], np.cumsum(column.values, dtype=np.int64)])
    return np.asarray(sums[column.ends] - sums[column.starts])


Names = Callable[[Any], Iterable[str]]


def _spread(words: Any, numbers: Any, names: Names, lead: str) -> dict[str, NDArray[Any]]:
    """A column per name, NaN where a case lacks it: ``names`` says what the numbers of a word are."""
    assert isinstance(words, Words)
    assert isinstance(numbers, Ragged)
    known: dict[str, int] = {}
    keys = Ragged.of(
        [[known.setdefault(name, len(known)) for name in names(word)] for word in words.words],
        np.int64,
    ).take(words.codes)
    matrix = np.full((len(known), len(words)), np.nan)
    if len(keys.values) != len(numbers.values):
        raise ValueError(f"the {lead} of the index do not fit their names")
    matrix[keys.values, np.repeat(np.arange(len(words)), keys.counts)] = numbers.values
    order = sorted(known, key=_by_name) if lead == "voxels" else known
    return {f"{lead}.{name}": matrix[known[name]] for name in order}


def _by_name(name: str) -> tuple[str, int]:
    label, _, value = name.rpartition(".")
    return label, int(value)


def _voxel_names(labels: Mapping[str, Sequence[int]]) -> Iterator[str]:
    return (f"{label}.{value}" for label, values in labels.items() for value in values)


def _with_zeros(columns: Mapping[str, NDArray[Any]], labels: Any) -> dict[str, NDArray[Any]]:
    """Counts with 0 where a case has the label map without that value; integers where all cases have it."""
    found = {}
    for name in [name for name in columns if name.startswith("voxels.")]:
        label = name.split(".", 1)[1].rpartition(".")[0]
        there = np.array([label in word for word in labels.words], bool)[labels.codes]
        counts = np.where(np.isnan(columns[name]) & there, 0, columns[name])
        found[name] = counts.astype(np.int64) if there.all() else counts
    return found


def _measures(rows: Columns) -> Words:
    """Of each case its channels, with the names of their numbers."""
    channels, measures = rows["channels"], rows["measures"]
    assert isinstance(channels, Words)
    assert isinstance(measures, Words)
    pairs = channels.codes * len(measures.words) + measures.codes
    kinds, codes = np.unique(pairs, return_inverse=True)
    both = (divmod(int(kind), len(measures.words)) for kind in kinds)
    return Words(codes, [(channels.words[a], measures.words[b]) for a, b in both])


def _measure_names(both: tuple[Sequence[str], Sequence[Sequence[str]]]) -> Iterator[str]:
    channels, measures = both
    for number, names in enumerate(measures):
        channel = channels[number] if number < len(channels) else f"channel_{number}"
        yield from (f"{channel}.{name}" for name in names)


def _attributes(column: Any) -> dict[str, NDArray[Any]]:
    assert isinstance(column, Words)
    names = sorted({name for word in column.words for name in word})
    return {
        f"attributes.{name}": objects([word.get(name) for word in column.words])[column.codes]
        for name in names
    }
