"""``gpuprep.Client`` over a service at work."""

from collections.abc import Iterator

import pytest
from support.cohorts import CONFIG
from support.serving import Served

import gpuprep
from gpuprep.values.errors import ServiceError

SERIAL = {"executor": "serial"}


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[gpuprep.Client]:
    with served.ask():  # makes the token
        pass
    with gpuprep.Client(served.url, served.tokens["submit"]) as made:
        yield made


def test_a_job_from_its_submission_to_its_cohort(client: gpuprep.Client) -> None:
    job = client.submit("data", "good", "whole", CONFIG, **SERIAL)
    assert (job.output, job.root, job.path, job.executor) == ("whole", "data", "good", "serial")
    assert not job.is_over
    events = [event.name for event in client.watch(job.id)]
    assert events[0] == "job.queued"
    assert events[-1] == "job.succeeded"
    assert events.count("case.done") == 3
    ended = client.wait(job.id, timeout=10)
    assert (ended.state, ended.exit_code, ended.progress.done) == ("succeeded", 0, 3)
    assert {cohort.name: cohort.cases for cohort in client.cohorts()}["whole"] == 3
    assert client.roots() == ("data",)


def test_one_goes_on_behind_an_event(client: gpuprep.Client) -> None:
    job = client.wait(client.submit("data", "good", "again", **SERIAL).id)
    events = list(client.watch(job.id))
    assert list(client.watch(job.id, after=events[3])) == events[4:]
    assert events[4].time


def test_a_plan_makes_no_job(client: gpuprep.Client) -> None:
    plan = client.submit("data", "good", "planned", only=["volume-1"], dry_run=True, **SERIAL)
    assert (plan.cases, plan.refused, plan.refusals) == (1, 0, ())
    assert plan.bytes_in > 0
    assert not list(client.jobs(cohort="planned"))


def test_jobs_come_page_by_page_newest_first(client: gpuprep.Client) -> None:
    made = [client.submit("data", "good", "paged", **SERIAL).id for _ in range(2)]
    assert [job.id for job in client.jobs(cohort="paged", page=1)] == made[::-1]
    client.wait(made[-1])
    assert [job.id for job in client.jobs(cohort="paged", state="queued")] == []


def test_exactly_what_failed_is_retried(client: gpuprep.Client, sources) -> None:
    job = client.wait(client.submit("data", "mixed", "mixed", **SERIAL).id)
    assert (job.state, job.exit_code) == ("succeeded_with_failures", 1)
    plan = client.retry(job.id, dry_run=True)
    (group,) = plan.groups
    assert (plan.cases, group.cases) == (1, ("volume-1",))
    assert client.failures("mixed") == plan.groups
    assert client.retry(job.id, codes=["E_NOTHING"], dry_run=True).cases == 0
    again = client.wait(client.retry(job.id, codes=[group.code], key="retry").id)
    assert (again.retry_of, again.only) == (job.id, 1)
    assert client.retry(job.id, codes=[group.code], key="retry").id == again.id
    with pytest.raises(ServiceError, match="another request"):
        client.retry(job.id, key="retry")
    with pytest.raises(ServiceError, match="no case"):
        client.retry(job.id, codes=["E_NOTHING"])


def test_a_job_is_ended_and_goes_on(client: gpuprep.Client) -> None:
    ahead = client.submit("data", "good", "ahead", **SERIAL)
    job = client.submit("data", "good", "ended", priority=1, **SERIAL)
    assert client.set_priority(job.id, 7).priority == 7
    assert client.cancel(job.id).state in ("cancelled", "cancelling")
    assert (client.wait(job.id).state, client.job(job.id).exit_code) == ("cancelled", 130)
    assert client.wait(client.resume(job.id).id).state == "succeeded"
    assert client.job(ahead.id).state == "succeeded"


def test_a_refusal_is_an_error_with_its_code_and_advice(client: gpuprep.Client) -> None:
    with pytest.raises(ServiceError) as told:
        client.submit("nowhere", "", "no")
    error = told.value
    assert (error.status, error.code, error.may_pass) == (422, "E_ROOT", False)
    assert error.advice
    with pytest.raises(ServiceError, match="no such job") as told:
        client.job("0" * 20)
    assert told.value.status == 404


def test_a_token_that_is_none_is_refused(served: Served) -> None:
    with gpuprep.Client(served.url, "gpr_no") as nobody, pytest.raises(ServiceError) as told:
        nobody.cohorts()
    assert (told.value.status, told.value.code) == (401, "E_TOKEN")


def test_waiting_ends_when_time_is_up(client: gpuprep.Client) -> None:
    job = client.submit("data", "good", "late", **SERIAL)
    with pytest.raises(TimeoutError, match=job.id):
        client.wait(job.id, timeout=0.01)


def test_a_cohort_is_opened_at_its_address_with_the_token(
    client: gpuprep.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(
        "gpuprep.store.reader.open_cohort", lambda url, **options: asked.append((url, options))
    )
    client.open("whole", crc="never")
    ((url, options),) = asked
    assert url == f"{client.url}/v1/zarr/whole"
    assert options == {"token": client._token, "crc": "never"}


def test_a_cohort_is_read_over_http(client: gpuprep.Client, served: Served) -> None:
    pytest.importorskip("obstore")
    client.wait(client.submit("data", "good", "read", CONFIG, **SERIAL).id)
    with client.open("read") as there, gpuprep.open(served.folder / "cohorts/read") as here:
        assert list(there) == list(here)
        assert (there["volume-0"].image[:] == here["volume-0"].image[:]).all()


def test_one_volume_is_what_a_run_stores(client: gpuprep.Client, served: Served, sources) -> None:
    client.wait(client.submit("data", "good", "kept", "ct", **SERIAL).id)
    sent = client.process(sources / "good/volume-0.nii.gz", profile="ct")
    named = client.process(root="data", path="good/volume-0.nii.gz", profile="ct")
    with gpuprep.open(served.folder / "cohorts/kept") as cohort:
        stored = cohort["volume-0"].image[:]
    for prepared in (sent, named):
        assert prepared.array.dtype == stored.dtype
        assert (prepared.array == stored).all()
    with pytest.raises(ServiceError) as told:
        client.process(b"no volume", name="scan.nii.gz", profile="ct")
    assert told.value.code == "E_UNREADABLE"
