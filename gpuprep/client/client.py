"""``gpuprep.Client``: a service as Python sees it."""

from __future__ import annotations

import os
import secrets
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, Unpack, overload

from gpuprep.client.answers import (
    CohortSummary,
    FailureGroup,
    Job,
    JobEvent,
    JobPlan,
    Page,
    RetryPlan,
    value_of,
)
from gpuprep.values.errors import BackendError, UsageError

if TYPE_CHECKING:
    from gpuprep.client.connection import Connection

URL_VARIABLE = "GPUPREP_URL"
TOKEN_VARIABLE = "GPUPREP_TOKEN"


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


class Client:
    """A service of gpuprep over HTTP.

        client = gpuprep.Client("https://node7:8443", token="gpr_…")
        job = client.submit("data", "liver", "liver-1mm", {"image": {"resample": {"spacing": [1, 1, 1]}}})
        job = client.wait(job.id)

    What asks without changing anything, or changes the same however often it is asked, is tried again
    while the service is away or busy, until ``patience`` is over. Threads may share a client.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        insecure: bool = False,
        patience: float = 60.0,
        timeout: float = 60.0,
    ) -> None:
        """Nothing is asked yet.

        Args:
            url: Of the service; by default that of the environment (GPUPREP_URL).
            token: By default that of the environment (GPUPREP_TOKEN).
            insecure: Let the token travel unencrypted to another machine.
            patience: Seconds to try again for.
            timeout: Seconds that one answer may take.

        Raises:
            UsageError: there is no address, or the token would travel unencrypted.
            BackendError: httpx is not installed.
        """
        url = url or os.environ.get(URL_VARIABLE)
        if not url:
            raise UsageError(
                "the address of the service is missing",
                advice=f"give url=…, or set {URL_VARIABLE}; gpuprep serve prints it",
            )
        self._token = token or os.environ.get(TOKEN_VARIABLE) or None
        self._insecure = insecure
        self._connection = _connected(
            url, self._token, insecure=insecure, patience=patience, timeout=timeout
        )
        self._end = weakref.finalize(self, self._connection.close)  # for those who do not close it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"gpuprep.Client({self.url!r})"

    @property
    def url(self) -> str:
        """The address of the service."""
        return self._connection.url

    def close(self) -> None:
        """Let go of the connections."""
        self._end()

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
        return value_of(Job, self._ask("GET", f"/jobs/{job_id}"))

    def watch(self, job_id: str, after: JobEvent | None = None) -> Iterator[JobEvent]:
        """What happens to a job, from its first event or the one behind ``after``, until it is over."""
        from gpuprep.client.following import follow

        return follow(self._connection, job_id, after.place if after else 0)

    def wait(self, job_id: str, timeout: float | None = None) -> Job:
        """The job once it is over. Raises TimeoutError where it is not after ``timeout`` seconds."""
        from gpuprep.client.following import follow

        until = None if timeout is None else time.monotonic() + timeout
        for _ in follow(self._connection, job_id, until=until):
            pass
        return self.job(job_id)

    def cancel(self, job_id: str) -> Job:
        """End a job; what is stored stays."""
        return value_of(Job, self._ask("POST", f"/jobs/{job_id}/cancel"))

    def resume(self, job_id: str) -> Job:
        """Have a job go on where it stopped."""
        return value_of(Job, self._ask("POST", f"/jobs/{job_id}/resume"))

    @overload
    def retry(
        self, job_id: str, codes: Sequence[str] = (), *, dry_run: Literal[False] = False
    ) -> Job: ...

    @overload
    def retry(
        self, job_id: str, codes: Sequence[str] = (), *, dry_run: Literal[True]
    ) -> RetryPlan: ...

    def retry(
        self, job_id: str, codes: Sequence[str] = (), *, dry_run: bool = False
    ) -> Job | RetryPlan:
        """Do exactly the cases again that failed, as a new job; ``codes`` chooses among their reasons.

        With ``dry_run`` the cases are only told.
        """
        path, params = f"/jobs/{job_id}/retry", {"code": list(codes)}
        if dry_run:
            return value_of(RetryPlan, self._ask("POST", path, params={**params, "dry_run": "1"}))
        return value_of(Job, self._ask("POST", path, again=False, params=params))

    def set_priority(self, job_id: str, priority: int) -> Job:
        """Give a job that waits another priority, 0 to 9; higher ones of one user come first."""
        return value_of(Job, self._ask("PATCH", f"/jobs/{job_id}", json={"priority": priority}))

    def roots(self) -> tuple[str, ...]:
        """The names of the roots that one may take input from."""
        return value_of(Page, self._ask("GET", "/roots")).items

    def cohorts(self) -> tuple[CohortSummary, ...]:
        """The cohorts that one may see."""
        found = value_of(Page, self._ask("GET", "/cohorts"))
        return tuple(value_of(CohortSummary, each) for each in found.items)

    def failures(self, cohort: str) -> tuple[FailureGroup, ...]:
        """What failed in the last run of a cohort, by reason."""
        found = value_of(Page, self._ask("GET", f"/cohorts/{cohort}/failures"))
        return tuple(value_of(FailureGroup, each) for each in found.items)

    def _ask(self, method: str, path: str, *, again: bool = True, **options: Any) -> Any:
        from gpuprep.client.connection import Request

        return self._connection.json(Request(method, f"/v1{path}", again, options))


def _connected(url: str, token: str | None, **options: Any) -> Connection:
    try:
        from gpuprep.client.connection import Connection
    except ImportError:
        raise BackendError(
            "a client of a service needs httpx", advice="pip install 'gpuprep[service]'"
        ) from None
    return Connection(url, token, **options)
