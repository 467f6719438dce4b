"""Headers of many cases at once: as many reading processes as there are cores, nothing told differently."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpuprep.config.file import parse_config
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.planning import rehearsals
from gpuprep.planning.preview import preview_cohort
from gpuprep.values.case import Case, Source


@pytest.mark.usefixtures("reads_here")
def test_several_readers_tell_what_one_does_in_the_same_order(
    cohort_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cohort_folder / "volume-2.nii.gz").write_bytes(b"no gzip")
    one = preview_cohort(cohort_folder, parse_config({}))
    asked: list[Sandbox] = []
    peek_all = Sandbox.peek_all

    def noting(sandbox: Sandbox, sources: Sequence[Source]) -> object:
        asked.append(sandbox)
        return peek_all(sandbox, sources)

    monkeypatch.setattr(Sandbox, "peek_all", noting)
    monkeypatch.setattr(rehearsals, "_PER_READER", 1)
    monkeypatch.setattr(rehearsals, "_PER_REQUEST", 3)  # files: two cases
    monkeypatch.setattr(rehearsals, "_AT_ONCE", 3)
    monkeypatch.setattr(rehearsals, "available_cores", lambda: 3)
    told: list[int] = []
    assert preview_cohort(cohort_folder, parse_config({}), on_case=told.append) == one
    assert told == [4] * 4
    assert [row.case_id for row in one.projections] == ["volume-0", "volume-1", "volume-3"]
    assert len(asked) == 2
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


@pytest.mark.usefixtures("reads_here")
def test_what_nobody_waits_for_any_more_is_not_begun(
    cohort_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever presses Ctrl-C does not wait for the thousands of cases that are to come."""
    begun: list[str] = []
    ended = threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            ended.set()
            super().shutdown(wait)

    def interrupted(case: Case, *_: object) -> None:
        begun.append(case.id)
        if case.id == "volume-0":
            raise KeyboardInterrupt
        assert ended.wait(30)

    monkeypatch.setattr(rehearsals, "_PER_REQUEST", 1)
    monkeypatch.setattr(rehearsals, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(rehearsals, "rehearse", interrupted)
    with pytest.raises(KeyboardInterrupt):
        preview_cohort(cohort_folder, parse_config({}))
    assert begun in (["volume-0"], ["volume-0", "volume-1"])
