"""The facts of a cohort that is stored already, from its records: no file of the input is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from gpuprep.advice.facts import CaseFacts, CohortFacts
from gpuprep.advice.modality import AIR, kind_of, modalities
from gpuprep.advice.spread import of_histogram, spread_of
from gpuprep.config.model import Config
from gpuprep.ledger.output import load_output_config
from gpuprep.ledger.statistics import CaseStatistics, statistics_key
from gpuprep.nnunet.mixture import CountedChannel
from gpuprep.ops.landmarks import Landmarks
from gpuprep.store.layout import CASES_FOLDER, CONFIG_FILE, STATISTICS_FILE, case_path
from gpuprep.store.reader import open_cohort
from gpuprep.store.record import read_record
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Geometry

Record = Mapping[str, Any]


def is_stored(path: Path) -> bool:
    """Whether a folder is the output of a run."""
    return (path / CASES_FOLDER).is_dir() and (path / CONFIG_FILE).is_file()


def recorded(
    path: Path, *, limit: int | None = None, on_case: Callable[[int], None] = lambda _: None
) -> CohortFacts:
    """The facts of a stored cohort.

    Foreground statistics are known where its config counted it (``fingerprint``), or took statistics ``over:
    cohort``: then of the foreground of that config.

    Raises:
        UsageError: it has no case.
        StoreError: a record is damaged.
    """
    made, cohort = load_output_config(str(path)), open_cohort(path)
    ids = list(islice(cohort, limit))
    if not ids:
        raise UsageError(f"{path} has no case yet", advice="gpuprep status says how its run ended")
    kept, cases = _kept(path, made, cohort.agreement.channels), []
    counted: dict[str, list[CountedChannel]] = {}
    for case_id in ids:
        folder = path / case_path(case_id)
        record = read_record(folder)
        cases.append(_facts(case_id, record, made))
        for number, name in enumerate(record["channels"]):
            if cases[-1].kinds[number] == "CT":
                counted.setdefault(name, []).extend(
                    _counted(record, number, folder, kept.get(case_id))
                )
        on_case(len(ids))
    spreads = {name: told for name, each in counted.items() if (told := spread_of(each))}
    where = "label" if made.fingerprint else made.image.foreground.where
    words = {"label": "labelled voxels", "body": "voxels of the body"}
    return CohortFacts(
        str(path),
        "",
        tuple(cases),
        (),
        0,
        cohort.agreement,
        spreads,
        words.get(where, "voxels that are not zero"),
    )


def _facts(case_id: str, record: Record, made: Config) -> CaseFacts:
    geometry = record["geometry"]
    oriented = Geometry.from_json(geometry["oriented"])
    source = Geometry.from_json(geometry.get("straight", geometry["source"]))
    roles = {str(row.get("role", "")) for row in record["source"]}
    images = sum(role.startswith("image") for role in roles) or 1  # older records tell no roles
    told = modalities(record["headers"], images, len(record["channels"]))
    crop = made.image.crop
    z, y, x = (stop - start for start, stop in geometry["crop"])
    lowest = [_lowest(record, number) for number in range(len(record["channels"]))]
    values: Mapping[str, int] = next(iter(record["labels"].values()), {})
    return CaseFacts(
        case_id,
        oriented.shape,
        oriented.spacing,
        source.orientation,
        tuple(record["channels"]),
        tuple(
            kind_of(modality, name, low, whole=low is not None and low.is_integer())
            for modality, name, low in zip(told, record["channels"], lowest, strict=True)
        ),
        bool(record["labels"]),
        tuple(sorted(int(value) for value in values if int(value))),
        tuple(dict.fromkeys(finding["code"] for finding in record["findings"])),
        (z, y, x) if crop.to == "nonzero" and not crop.margin else None,
    )


def _lowest(record: Record, channel: int) -> float | None:
    if channel < len(record["statistics"]):
        return float(record["statistics"][channel]["min"])
    rows = record.get("fingerprint", {}).get("channels", ())
    ends = rows[channel]["ends"] if channel < len(rows) else ()
    return (
        float(ends[0]) if ends and ends[0] < AIR else None
    )  # what is labelled may well lie above air


def _counted(
    record: Record, channel: int, folder: Path, kept: CaseStatistics | None
) -> Iterator[CountedChannel]:
    """A channel of a case as it was counted for a fingerprint, or for the cohort's statistics; if it was."""
    if "fingerprint" in record:
        yield CountedChannel.of_row(record["fingerprint"]["channels"][channel], folder)
    elif kept is not None and not isinstance(counted := kept.channels[channel], Landmarks):
        yield of_histogram(counted)


def _kept(path: Path, made: Config, channels: tuple[str, ...]) -> dict[str, CaseStatistics]:
    """What a run kept of the foreground of its cases, where it took statistics of the cohort."""
    if not made.needs_cohort:
        return {}
    key = statistics_key(made.digest, channels)
    return {each.case_id: each for each in _lines(path / STATISTICS_FILE) if each.made == key}


def _lines(file: Path) -> Iterator[CaseStatistics]:
    if not file.is_file():
        return
    with file.open("rb") as lines:
        for line in lines:
            try:
                yield CaseStatistics.of_line(line)
            except ValueError:  # a torn line counts as none
                continue
