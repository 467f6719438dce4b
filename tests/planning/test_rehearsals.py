"""Headers of many cases at once: as many reading processes as there are cores, nothing told differently."""

from pathlib import Path

import pytest

from gpuprep.config.file import parse_config
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.planning import rehearsals
from gpuprep.planning.preview import preview_cohort


@pytest.mark.usefixtures("reads_here")
def test_several_readers_tell_what_one_does_in_the_same_order(
    cohort_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cohort_folder / "volume-2.nii.gz").write_bytes(b"no gzip")
    one = preview_cohort(cohort_folder, parse_config({}))
    asked: list[Sandbox] = []
    peek = Sandbox.peek

    def noting(sandbox: Sandbox, source: object) -> object:
        asked.append(sandbox)
        return peek(sandbox, source)

    monkeypatch.setattr(Sandbox, "peek", noting)
    monkeypatch.setattr(rehearsals, "_PER_READER", 1)
    monkeypatch.setattr(rehearsals, "_AT_ONCE", 3)
    monkeypatch.setattr(rehearsals, "available_cores", lambda: 3)
    told: list[int] = []
    assert preview_cohort(cohort_folder, parse_config({}), on_case=told.append) == one
    assert told == [4] * 4
    assert [row.case_id for row in one.projections] == ["volume-0", "volume-1", "volume-3"]
    assert 1 <= len(set(asked)) <= 3


@pytest.mark.usefixtures("reads_here")
def test_numbers_are_of_all_cases_however_few_are_kept(cohort_folder: Path) -> None:
    (cohort_folder / "volume-2.nii.gz").write_bytes(b"no gzip")
    every = preview_cohort(cohort_folder, parse_config({}))
    few = preview_cohort(cohort_folder, parse_config({}), most=1)
    assert (len(few.projections), len(few.refused)) == (1, 1)
    numbers = ("cases_to_do", "cases_refused", "bytes_in", "bytes_out")
    assert [getattr(few, name) for name in numbers] == [getattr(every, name) for name in numbers]
    assert every.bytes_in == sum(row.bytes_in for row in every.projections)
    assert (every.cases_to_do, every.cases_refused) == (3, 1)
