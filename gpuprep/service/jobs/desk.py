"""What the routes of jobs have in common: who may see what, what is asked for, and how it is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.ledger.failures import group_failures
from gpuprep.ledger.state import read_state
from gpuprep.service.bodies import JobRequest, JobView, Progress, QueuePlace, RetryGroup, RetryPlan
from gpuprep.service.door.tokens import Principal
from gpuprep.service.jobs.allowed import check_allowed, shown
from gpuprep.service.jobs.dispatcher import Dispatcher, new_job
from gpuprep.service.jobs.job import Asked, Job
from gpuprep.service.jobs.once import Once
from gpuprep.service.jobs.rehearsal import Rehearsal, Rehearser
from gpuprep.service.jobs.targets import check_listed
from gpuprep.service.jobs.waiting import seconds_per_case, waits
from gpuprep.service.places import Places
from gpuprep.service.problems import Problem
from gpuprep.service.settings import Settings
from gpuprep.service.tally import stages_in
from gpuprep.values.errors import GpuprepError

_LOOK_SECONDS = 2.0  # for the disks of cohorts to tell how far jobs are
_BLIND_SECONDS = 30.0  # without looking again where they did not


class JobDesk:
    """What the routes of jobs have in common: who may see what, and how an answer is put together."""

    def __init__(
        self, settings: Settings, places: Places, dispatcher: Dispatcher, rehearser: Rehearser
    ) -> None:
        self.settings = settings
        self.places = places
        self.dispatcher = dispatcher
        self._rehearser = rehearser
        self.keep = dispatcher.keep
        """Changes of jobs are made in one thread."""
        self._once = Once(dispatcher.database)
        self._blind_until = 0.0
        self._waiting: tuple[tuple[int, int], dict[str, float]] = ((-1, 0), {})
        self._lookers = ThreadPoolExecutor(2, "progress")  # apart: a cohort's disk may not answer

    def may_see(self, who: Principal, job: Job) -> bool:
        return who.may_see(job.asked.output) or job.owner == who.name

    def is_over(self, job_id: str) -> bool:
        """Whether nothing more will happen to a job."""
        job = self.dispatcher.database.find(job_id)
        return job is None or job.is_over

    def seen(self, who: Principal, job_id: str) -> Job:
        """A job that someone may see. Raises Problem 404 for any other, as for none."""
        job = self.dispatcher.database.find(job_id)
        if job is None or not self.may_see(who, job):
            raise Problem(404, "there is no such job", code="E_JOB")
        return job

    def owned(self, who: Principal, job_id: str) -> Job:
        """A job that someone may change. Raises Problem 403 where it is another's."""
        job = self.seen(who, job_id)
        if not who.may_change(job.owner):
            raise Problem(403, f"job {job.id} is {job.owner}'s", code="E_OWNER")
        return job

    async def view(self, job: Job) -> JobView:
        """A job as its service tells it, with the times of its stages."""
        stages = await asyncio.to_thread(stages_in, self.dispatcher.folder_of(job.id).path)
        return (await self.views([job]))[0].model_copy(update={"stages": stages})

    async def views(self, jobs: Sequence[Job]) -> list[JobView]:
        """Jobs as their service tells them; what a cohort's disk does not tell in time is left out."""
        progress: list[Progress | None] = [None] * len(jobs)
        if time.monotonic() > self._blind_until:
            loop = asyncio.get_running_loop()
            looking = loop.run_in_executor(self._lookers, self._all_progress, jobs)
            try:
                progress = await asyncio.wait_for(looking, _LOOK_SECONDS)
            except TimeoutError:
                self._blind_until = time.monotonic() + _BLIND_SECONDS
        return [self._view(job, moved) for job, moved in zip(jobs, progress, strict=True)]

    def _view(self, job: Job, progress: Progress | None) -> JobView:
        told = JobView.of(job, self._queue_place(job), progress)
        config = shown(told.config) if told.profile else told.config
        return told.model_copy(update={"reason": self.places.hidden(job.reason), "config": config})

    def _queue_place(self, job: Job) -> QueuePlace | None:
        if job.state != "queued":
            return None
        return QueuePlace(position=self.dispatcher.place(job), seconds=self._waits().get(job.id))

    def _waits(self) -> dict[str, float]:
        """In how many seconds jobs will begin, looked at anew once a second and when a job changes."""
        database, (seen, found) = self.dispatcher.database, self._waiting
        if seen != (now := (database.version, int(time.monotonic()))):
            found = {}
            pace = seconds_per_case(database.page(states=["succeeded"], before=1 << 60, limit=20))
            if pace is not None:
                waiting, working = database.waiting(), database.working()
                found = waits(waiting, working, self.dispatcher.capacity, pace, time.time())
            self._waiting = now, found
        return found

    def _all_progress(self, jobs: Sequence[Job]) -> list[Progress | None]:
        return [self._progress(job) for job in jobs]

    def _progress(self, job: Job) -> Progress | None:
        """How far the run of a job is, or was when it ended; none where another run came behind it."""
        if not job.started:
            return None
        child = self.dispatcher.folder_of(job.id).child()
        try:
            state = read_state(str(self.places.output(job.asked.output)))
        except GpuprepError:
            return None
        if child is None or child != {
            "machine": state.machine,
            "pid": state.pid,
            "started": str(state.process_started),
        }:
            return None
        names = (
            "total",
            "done",
            "skipped",
            "failed",
            "remaining",
            "measured",
            "to_measure",
            "waiting",
        )
        counts = {name: getattr(state, name) for name in names}
        moved = {"bytes_in": state.bytes_in, "bytes_out": state.bytes_out}
        return Progress(**counts, **moved, cases_per_second=state.rate, seconds_left=state.eta)

    async def submit(self, who: Principal, body: JobRequest, key: str | None) -> tuple[Job, bool]:
        """The job of a request, and whether it is new; one key makes one job, however often it comes."""
        self._check_allowed(who, body)  # also where the job is there: less may be allowed than then
        asked, make = body.model_dump(mode="json"), partial(self._accept, who, body)
        return await self._once.job(who.name, key, asked, make, partial(self.seen, who))

    async def retry(
        self, who: Principal, job: Job, codes: Sequence[str], key: str | None
    ) -> tuple[Job, bool]:
        """A new job for the cases of a job that failed so, and whether it is new; as for ``submit``."""
        asked = {"retry": job.id, "codes": sorted(set(codes))}
        make, see = partial(self._again, who, job, codes), partial(self.seen, who)
        return await self._once.job(who.name, key, asked, make, see)

    async def _accept(self, who: Principal, body: JobRequest, key: str) -> Job:
        asked, plan = await self.look_at(who, body)
        if plan.refused == plan.looked_at:
            raise Problem(
                422,
                f"all {plan.looked_at} cases that were looked at would be refused",
                code=plan.refusals[0]["code"],
                advice=plan.refusals[0]["advice"],
                plan=plan.to_json(),
            )
        memory = plan.peak_bytes * asked.workers
        job = new_job(
            who.name, asked, priority=body.priority, memory=memory, cases=plan.cases, key=key
        )

        def check() -> None:  # others may have come while the input was looked at
            self._check_cohort(who, asked, parse_config(asked.config, "config"))

        return await self.keep(self.dispatcher.submit, job, check)

    async def look_at(
        self, who: Principal, body: JobRequest, *, whole: bool = False
    ) -> tuple[Asked, Rehearsal]:
        """What is asked for, made complete, and the plan of it. Raises Problem for what cannot be."""
        self._check_allowed(who, body)
        source = await asyncio.to_thread(self.places.source, body.root, body.path)
        asked, config = self._resolved(body)
        await asyncio.to_thread(self._check_cohort, who, asked, config)
        if asked.webhook:
            check_listed(asked.webhook, self.settings.webhooks.hosts)
        plan = await self._rehearser.rehearse(
            source,
            self.places.confined(asked.config, asked.root),
            only=asked.only,
            limit=asked.limit,
            whole=whole,
        )
        hidden = self.places.hidden
        refusals = tuple(
            {name: hidden(text) for name, text in each.items()} for each in plan.refusals
        )
        return asked, replace(plan, refusals=refusals)

    def _check_allowed(self, who: Principal, body: JobRequest) -> None:
        if not who.may_use(body.root):
            raise Problem(422, f"there is no root {body.root!r}", code="E_ROOT")
        if not who.may_see(body.output):
            raise Problem(422, f"{body.output!r} is no name for a cohort of yours", code="E_COHORT")

    def _resolved(self, body: JobRequest) -> tuple[Asked, Config]:
        profile = body.config if isinstance(body.config, str) else ""
        if profile:
            if profile not in self.settings.profiles:
                raise Problem(422, f"there is no profile {profile!r}", code="E_PROFILE")
            tree: dict[str, Any] = dict(self.settings.profiles[profile].config)  # type: ignore[arg-type]
        else:
            tree = body.config  # type: ignore[assignment]
            check_allowed(tree)
        config = parse_config(tree, f"profile {profile}" if profile else "config")
        if body.executor not in ("local", "serial", *self.settings.clusters):
            raise Problem(422, f"there is no executor {body.executor!r}", code="E_EXECUTOR")
        share = max(1, self.settings.workers // self.settings.limits.jobs)
        asked = Asked(
            body.root,
            body.path,
            body.output,
            tree,
            profile,
            body.executor,
            min(body.workers or share, self.settings.workers)
            if body.executor == "local"
            else body.workers or 1,
            body.only,
            body.limit,
            body.overwrite,
            webhook=body.webhook or "",
        )
        return asked, config

    def _check_cohort(self, who: Principal, asked: Asked, config: Config) -> None:
        last = self.dispatcher.database.last_of(asked.output)
        if last is not None and not who.may_change(last.owner):
            raise Problem(
                409,
                f"cohort {asked.output} is {last.owner}'s",
                code="E_OWNER",
                advice="take another name",
            )
        present = self.places.digest(asked.output)
        if not present or present == config.digest or asked.overwrite:
            return
        at_work = last is not None and not last.is_over
        if at_work or self.places.holds_cases(asked.output):
            raise Problem(
                409,
                f"cohort {asked.output} {'is being' if at_work else 'was'} made with another config",
                code="E_CONFIG",
                advice="take another name, or set overwrite to make every case anew",
            )

    def retry_plan(self, job: Job, codes: Sequence[str]) -> RetryPlan:
        """The cases of a job that failed, by reason."""
        try:
            groups = group_failures(str(self.places.output(job.asked.output)))
        except GpuprepError as error:
            raise Problem(409, str(error), code="E_STATE") from None
        chosen = [
            group for group in groups if not codes or group.code in codes or group.kind in codes
        ]
        views = [RetryGroup.of(group, self.places.hidden) for group in chosen]
        return RetryPlan(cases=sum(view.count for view in views), groups=views)

    async def _again(self, who: Principal, job: Job, codes: Sequence[str], key: str) -> Job:
        plan = await asyncio.to_thread(self.retry_plan, job, codes)
        if not job.is_over:
            raise Problem(409, f"job {job.id} is {job.state}; it has not ended", code="E_STATE")
        if not plan.cases:
            raise Problem(
                409, f"no case of cohort {job.asked.output} has failed so", code="E_STATE"
            )
        only = tuple(case for group in plan.groups for case in group.cases)
        asked = replace(job.asked, only=only, limit=None, overwrite=False, retry_of=job.id)
        again = new_job(
            who.name, asked, priority=job.priority, memory=job.memory, cases=len(only), key=key
        )
        return await self.keep(self.dispatcher.submit, again)
