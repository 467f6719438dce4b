"""``gpuprep.Client``: a service as Python sees it."""

from __future__ import annotations

import os
import re
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from gpuprep.client.answers import CohortSummary, FailureGroup, Page, value_of
from gpuprep.client.jobs import Jobs
from gpuprep.client.prepared import Prepared, prepared_of
from gpuprep.values.errors import BackendError, UsageError

if TYPE_CHECKING:
    from gpuprep.client.connection import Connection
    from gpuprep.store.reader import Cohort

URL_VARIABLE = "GPUPREP_URL"
TOKEN_VARIABLE = "GPUPREP_TOKEN"
_VOLUME_SECONDS = 300.0


class Client(Jobs):
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
            insecure: Let the token travel unencrypted to another machine; GPUPREP_ALLOW_HTTP=true in the
                environment says so as well, and for ``open`` too.
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
        self._timeout = timeout
        self._token = (token or os.environ.get(TOKEN_VARIABLE) or "").strip() or None
        insecure |= os.environ.get("GPUPREP_ALLOW_HTTP", "").lower() in ("1", "true")
        self._connection = _connected(
            url, self._token, insecure=insecure, patience=patience, timeout=timeout
        )
        self._end = weakref.finalize(self, self._connection.close)  # for those who do not
        self._end.atexit = False  # a forked process must not say farewell on links that it shares

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

    def roots(self) -> tuple[str, ...]:
        """The names of the roots that one may take input from."""
        return value_of(Page, self._ask("GET", "/roots")).items

    def cohorts(self) -> tuple[CohortSummary, ...]:
        """The cohorts that one may see."""
        found = value_of(Page, self._ask("GET", "/cohorts"))
        return tuple(value_of(CohortSummary, each) for each in found.items)

    def failures(self, cohort: str) -> tuple[FailureGroup, ...]:
        """What failed in the last run of a cohort, by reason."""
        found = value_of(Page, self._ask("GET", f"/cohorts/{_checked(cohort)}/failures"))
        return tuple(value_of(FailureGroup, each) for each in found.items)

    def open(self, cohort: str, **options: Any) -> Cohort:
        """A cohort of the service, read over HTTP chunk by chunk; ``options`` are those of ``gpuprep.open``.

        Raises:
            StoreError: there is none of that name, or the token may not read it.
            BackendError: it needs the extra ``s3``.
        """
        from gpuprep.store.reader import open_cohort

        options = {"token": self._token, **options}
        return open_cohort(f"{self.url}/v1/zarr/{_checked(cohort)}", **options)

    def process(
        self,
        file: Path | str | bytes | None = None,
        *,
        root: str = "",
        path: str = "",
        profile: str = "",
        name: str = "",
        answer: Literal["npy", "zarr", "nifti", "case"] = "npy",
        patch: Sequence[int] | None = None,
        overlap: float = 0.5,
    ) -> Prepared:
        """Have one volume prepared by a warm slot; nothing of it is kept.

        A service whose slots are all taken is asked again until patience is over; ``patience=0`` of the
        client gives up at once.

        Args:
            file: The volume, or a zip of one DICOM series; its bytes go along with a ``name``.
            root: With ``path``, a volume that the service has already, in place of ``file``.
            path: The file, or the folder of one case, below ``root``.
            profile: Which config; needed where the service has several.
            name: What the file is called, if not by its own name; the suffix tells its format.
            answer: The image as an array, a zipped Zarr group, NIfTI, or a stored case.
            patch: Patches of so many voxels along z, y, x that cover the image, with ``npy`` alone.
            overlap: Of neighbouring patches, as a fraction of a patch.

        Raises:
            ServiceError: it was refused; ``code`` is that of a finding where the volume is at fault.
            UsageError: neither a file nor a root and a path are given, or both.
        """
        from gpuprep.client.connection import Request

        if (file is None) == (not root):
            raise UsageError("give a file, or root and path")
        wanted = {"profile": profile, "answer": answer, "overlap": str(overlap) if patch else ""}
        wanted["patch"] = ",".join(map(str, patch or ()))
        options: dict[str, Any] = {"timeout": max(self._timeout, _VOLUME_SECONDS)}
        source = None
        if file is None:
            options["json"] = {"root": root, "path": path}
        else:
            options["headers"] = {"Content-Type": "application/octet-stream"}
            source = None if isinstance(file, bytes) else Path(file)
            wanted["name"] = name or (source.name if source else "")
            if isinstance(file, bytes):
                options["content"] = file
        options["params"] = {key: value for key, value in wanted.items() if value}
        return prepared_of(
            self._connection.ask(Request("POST", "/v1/process", options=options, file=source))
        )


def _connected(url: str, token: str | None, **options: Any) -> Connection:
    try:
        from gpuprep.client.connection import Connection
    except ImportError:
        raise BackendError(
            "a client of a service needs httpx", advice="pip install 'gpuprep[service]'"
        ) from None
    return Connection(url, token, **options)


def _checked(cohort: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", cohort):
        raise UsageError(
            f"{cohort!r} is not the name of a cohort",
            advice="use letters, digits, '.', '_' and '-'",
        )
    return cohort
