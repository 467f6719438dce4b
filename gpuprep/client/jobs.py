"""The part of a client that is about jobs."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

from gpuprep.client.answers import Job, JobEvent, JobPlan, Page, RetryPlan, value_of
from gpuprep.values.errors import UsageError

if TYPE_CHECKING:
    from gpuprep.client.connection import Connection


class JobOptions(TypedDict, total=False):
    """What else may be said of a job; the service decides where it is left out."""

    executor: str
    """``local``, ``serial`` or one of the service's clusters."""
    workers: int
    only: Sequence[str]
    """Only these cases; patterns such as ``liver_*`` take in several."""
    limit: int
    overwrite: bool
    priority: int
    """0 to 9; higher ones of one user come first."""
    webhook: str
    """Is told when the job ends; its host must be on the service's list."""


class Jobs:
    """Asks a service about jobs, and to make, end and repeat them."""

    _connection: Connection

    @overload
    def submit(
        self,
        root: str,
        path: str,
        output: str,
        config: Mapping[str, Any] | str | None = None,
        *,
        dry_run: Literal[False] = False,
        key: str | None = None,
        **options: Unpack[JobOptions],
    ) -> Job: ...

    @overload
    def submit(
        self,
        root: str,
        path: str,
        output: str,
        config: Mapping[str, Any] | str | None = None,
        *,
        dry_run: Literal[True],
        key: str | None = None,
        **options: Unpack[JobOptions],
    ) -> JobPlan: ...

    def submit(
        self,
        root: str,
        path: str,
        output: str,
        config: Mapping[str, Any] | str | None = None,
        *,
        dry_run: bool = False,
        key: str | None = None,
        **options: Unpack[JobOptions],
    ) -> Job | JobPlan:
        """Have a cohort made.

        Args:
            root: One of the service's roots.
            path: The input below it: a folder, a manifest, a ``dataset.json`` or a single file.
            output: The cohort's name.
            config: A config as a mapping, or the name of one of the service's profiles.
            dry_run: Only look at all of it, and give the plan.
            key: The same key is the same job, however often it is submitted; by default a new one.

        Raises:
            ServiceError: it was refused; ``code`` and ``advice`` say why and what to do.
        """
        given = {name: value for name, value in options.items() if value is not None}
        body = {"root": root, "path": path, "output": output, "config": config or {}, **given}
        body["only"] = list(options.get("only", ()))
        if dry_run:
            return value_of(JobPlan, self._ask("POST", "/jobs", json=body, params={"dry_run": "1"}))
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        return value_of(Job, self._ask("POST", "/jobs", json=body, headers=headers))

    def jobs(
        self, *, state: str = "", owner: str = "", cohort: str = "", page: int = 100
    ) -> Iterator[Job]:
        """All jobs that one may see, newest first, asked for ``page`` by page."""
        wanted = {"state": state, "owner": owner, "cohort": cohort, "limit": str(page)}
        params = {name: value for name, value in wanted.items() if value}
        while True:
            found = value_of(Page, self._ask("GET", "/jobs", params=params))
            for each in found.items:
                yield value_of(Job, each)
            if not found.next:
                return
            params["after"] = found.next

    def job(self, job_id: str) -> Job:
        """How a job stands."""
        return value_of(Job, self._ask("GET", f"/jobs/{checked_id(job_id)}"))

    def watch(self, job_id: str, after: JobEvent | None = None) -> Iterator[JobEvent]:
        """What happens to a job, from its first event or the one behind ``after``, until it is over."""
        from gpuprep.client.following import follow

        return follow(self._connection, checked_id(job_id), after.place if after else 0)

    def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """The job once it is over. Raises TimeoutError where it is not after ``timeout`` seconds."""
        from gpuprep.client.following import follow

        until = None if timeout is None else time.monotonic() + timeout
        for _ in follow(self._connection, checked_id(job_id), until=until):
            pass
        return self.job(job_id)

    def cancel(self, job_id: str) -> Job:
        """End a job; what is stored stays."""
        return value_of(Job, self._ask("POST", f"/jobs/{checked_id(job_id)}/cancel"))

    def resume(self, job_id: str) -> Job:
        """Have a job go on where it stopped."""
        return value_of(Job, self._ask("POST", f"/jobs/{checked_id(job_id)}/resume"))

    @overload
    def retry(
        self,
        job_id: str,
        codes: Sequence[str] = (),
        *,
        dry_run: Literal[False] = False,
        key: str | None = None,
    ) -> Job: ...

    @overload
    def retry(
        self,
        job_id: str,
        codes: Sequence[str] = (),
        *,
        dry_run: Literal[True],
        key: str | None = None,
    ) -> RetryPlan: ...

    def retry(
        self,
        job_id: str,
        codes: Sequence[str] = (),
        *,
        dry_run: bool = False,
        key: str | None = None,
    ) -> Job | RetryPlan:
        """Do exactly the cases again that failed, as a new job; ``codes`` chooses among their reasons.

        With ``dry_run`` the cases are only told. ``key`` is as for ``submit``.
        """
        path, params = f"/jobs/{checked_id(job_id)}/retry", {"code": list(codes)}
        if dry_run:
            return value_of(RetryPlan, self._ask("POST", path, params={**params, "dry_run": "1"}))
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        return value_of(Job, self._ask("POST", path, params=params, headers=headers))

    def set_priority(self, job_id: str, priority: int) -> Job:
        """Give a job that waits another priority, 0 to 9; higher ones of one user come first."""
        return value_of(
            Job, self._ask("PATCH", f"/jobs/{checked_id(job_id)}", json={"priority": priority})
        )

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        from gpuprep.client.connection import Request

        return self._connection.json(Request(method, f"/v1{path}", options))


def checked_id(job_id: str) -> str:
    """The id of a job. Raises UsageError where it cannot be one."""
    if not re.fullmatch(r"[0-9a-f]{20}", job_id):
        raise UsageError(
            f"{job_id!r} is not the id of a job", advice="gpuprep jobs list shows all ids"
        )
    return job_id
