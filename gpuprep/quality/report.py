"""The report of a cohort: put together from its index and a sample of its pictures, and written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpuprep.host.atomic import whole_file
from gpuprep.ledger.failures import FailureGroup, group_failures
from gpuprep.quality import case_rows
from gpuprep.quality.cohort_quality import CohortQuality
from gpuprep.quality.pictures import MOST, Pictures, sample, take_pictures
from gpuprep.quality.report_data import ReportContent
from gpuprep.quality.report_page import render
from gpuprep.store.local import LocalPath
from gpuprep.store.objects.http import HttpPath
from gpuprep.store.places import Place, to_place
from gpuprep.store.reader import Cohort
from gpuprep.store.standing import doubts
from gpuprep.values.errors import StoreError, UsageError


@dataclass(frozen=True)
class CohortReport:
    """A report that was put together.

    Attributes:
        content: What it shows.
        seconds: What it took to read the index, and to take the pictures.
    """

    content: ReportContent
    seconds: dict[str, float]

    @property
    def quality(self) -> CohortQuality:
        return self.content.quality

    def html(self) -> bytes:
        """One document that asks for nothing."""
        return render(self.content)

    def csv(self) -> bytes:
        """Every measured number, one row per case."""
        return case_rows.to_csv(self.quality)

    def parquet(self) -> bytes:
        """The same as Parquet; raises UsageError where PyArrow is not installed."""
        return case_rows.to_parquet(self.quality)


def report_of(output: str | Path | Place, *, pictures: int = MOST) -> CohortReport:
    """Put the report of an output together, with pictures of at most so many cases.

    Raises:
        StoreError: it holds no cohort.
        CorruptStoreError: a record that had to be read is damaged.
    """
    began = time.monotonic()
    place = to_place(output)
    with Cohort(place) as cohort:
        standing = tuple(doubts(cohort.standing, place))
        agreement = cohort.agreement
        quality = CohortQuality(cohort.table(), agreement)
        chosen = sample(quality, pictures)
        read = time.monotonic()
        taken = take_pictures(cohort, chosen)
    failures, notes = _failures(place)
    content = ReportContent(
        place.name,
        time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        quality,
        tuple(map(str, agreement.channels)),
        failures,
        taken,
        (*standing, *notes, *_pictures_missing(taken)),
    )
    done = time.monotonic()
    seconds = {"index": round(read - began, 3), "pictures": round(done - read, 3)}
    return CohortReport(content, seconds)


def write_beside(place: Place, name: str, content: bytes) -> str:
    """Write a file of an output, whole or not at all; returns where it lies.

    Raises:
        UsageError: it cannot be written there.
        StoreFault, RunStopped: the object store refuses.
    """
    check_takes_files(place)
    target = place / name
    if isinstance(target, LocalPath):
        write_file(Path(target), content)
    else:
        target.write(content)
    return str(target)


def check_takes_files(place: Place) -> None:
    """UsageError for an output into which nothing can be written."""
    if isinstance(place, HttpPath):
        raise UsageError(
            f"{place}: the cohort of a service is read only",
            advice="--html FILE writes the report on this machine",
        )


def write_file(file: Path, content: bytes) -> None:
    """Write a file, whole or not at all; raises UsageError where that is impossible."""
    with whole_file(file) as partial:
        partial.write_bytes(content)


def _failures(place: Place) -> tuple[Sequence[FailureGroup], tuple[str, ...]]:
    try:
        return group_failures(place), ()
    except StoreError as error:
        return (), (f"what failed is not known: {error}",)


def _pictures_missing(taken: Pictures) -> tuple[str, ...]:
    if not taken.damaged:
        return ()
    first, more = ", ".join(taken.damaged[:5]), len(taken.damaged) - 5
    rest = f" and {more} more" if more > 0 else ""
    return (f"no picture could be made of {first}{rest}: gpuprep verify tells more",)
