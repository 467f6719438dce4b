"""What a run tells at its end of cases that were stored before: gone from the input, changed, moved."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gpuprep.cohort.discover import Found
from gpuprep.ledger.failures import FailureList
from gpuprep.ledger.hold import Hold
from gpuprep.ledger.index import ListedCases
from gpuprep.ledger.inputs import (
    enroll,
    input_name,
    listed_elsewhere,
    outdated_cases,
    standing_of,
    write_standing,
)
from gpuprep.ledger.report import RunReport
from gpuprep.store.places import to_place
from gpuprep.store.standing import Standing, doubts
from gpuprep.values.errors import StoreError
from gpuprep.values.events import Notice


def enroll_input(
    held: Hold, source: Path, found: Found, listed: Collection[str]
) -> tuple[str, ...]:
    """Note what the input lists now; the ids of stored cases that no input lists any more.

    ``listed`` are the cases of the manifest.
    """
    ids = (case.id for case in found.cases)
    cases_at = to_place(held.url or held.folder)
    return enroll(held.folder, cases_at, input_name(source), ids, listed)


def failure_list(held: Hold, source: Path, found: Found) -> FailureList:
    """The failures of the input, beside those of other inputs that went to the same output."""
    others = listed_elsewhere(to_place(held.folder), input_name(source))
    return FailureList(held.folder, found.cases, others)


def with_standing(
    report: RunReport, held: Hold, withdrawn: tuple[str, ...], digest: str
) -> RunReport:
    """The report with the cases that do not belong to the cohort any more, which the output then tells, too.

    Args:
        report: How the run ended.
        held: Where it worked.
        withdrawn: What ``enroll_input`` gave.
        digest: What cases are made under now; empty where the run did not come to know it.
    """
    standing = Standing(withdrawn, standing_of(held.folder).outdated)
    with suppress(OSError, StoreError):  # a disk that refuses costs the word, never the run
        if digest:
            listed = ListedCases(held.index())
            standing = Standing(withdrawn, outdated_cases(listed, digest, withdrawn))
        write_standing(held.folder, standing)
    return replace(report, standing=standing)


def notices(report: RunReport, output: str) -> Iterator[Notice]:
    """What there is to say of stored cases, each kind in one notice."""
    if report.recognised:
        text = f"{_cases(report.recognised)} recognised at a new place or time by the sums of the files"
        yield Notice(f"{text}; nothing was done again")
    if (told := report.changed).cases:
        text = f"{_cases(told.cases)} had changed since stored, and had to be made anew"
        yield Notice(text, tuple(told.first), told.cases - len(told.first))
    if (told := report.attributes).cases:
        text = f"{_cases(told.cases)} stored with other attributes than the input says now"
        yield Notice(
            f"{text}; run them with --overwrite --only to store these",
            tuple(told.first),
            told.cases - len(told.first),
        )
    if report.by_list:
        text = f"{_cases(report.by_list)} skipped by the word of the sealed list: they are there"
        advice = f"gpuprep verify {output} looks, as does a run with run.sealed_list: check"
        yield Notice(f"{text}, their objects were not looked at; {advice}")
    for text in doubts(report.standing, output):
        yield Notice(text)


def _cases(number: int) -> str:
    return f"{number} case{'s' * (number != 1)}"
