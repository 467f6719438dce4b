"""The workers that may have cases: each that joins is examined before it gets its first."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from distributed import Client

from gpuprep.executors.admission import (
    Terms,
    admit,
    examine,
    examine_scheduler,
    lenience,
    objections,
    shortage,
)
from gpuprep.executors.clusters.cluster import LostWorker
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.places import Place, to_place
from gpuprep.values.errors import GpuprepError, UsageError
from gpuprep.values.events import Listener, Notice

_EVERY_SECONDS = 2.0
_ANSWER_SECONDS = 20.0
_TOKEN = ".token"


class Roster:
    """Which workers there are now. Without terms every worker is taken as it is."""

    def __init__(self, client: Client, terms: Terms | None, tell: Listener) -> None:
        self._client = client
        self._terms = terms
        self._token = _Token(to_place(terms.output)) if terms else None
        self._tell = tell
        self._refused: dict[str, str] = {}
        self._present: Mapping[str, Any] = {}
        self._joined: dict[str, float] = {}
        self._due = 0.0
        self._last_seen = time.monotonic()
        self.admitted: dict[str, int] = {}
        """Address → number of slots."""
        try:
            unfit = self._unfit_scheduler() if terms else []
            self.refresh()
            if not self.admitted:
                unfit += self._refused.values()
            if unfit:
                raise UsageError(
                    "; ".join(unfit),
                    advice="every host needs the same versions, and the same folders at the same paths",
                )
        except BaseException:
            self.close()
            raise

    @property
    def idle_seconds(self) -> float:
        """How long there has been no worker that works."""
        return 0.0 if self._is_at_work else time.monotonic() - self._last_seen

    @property
    def are_paused(self) -> bool:
        """Whether Dask has paused every worker, since their memory is nearly full, and none has a case."""
        workers = [self._present[address] for address in self.admitted]
        return bool(workers) and all(
            each["status"] == "paused" and not each["metrics"].get("executing") for each in workers
        )

    @property
    def _is_at_work(self) -> bool:
        return bool(self.admitted) and not self.are_paused

    def has_replaced(self, lost: LostWorker) -> bool:
        """Whether a worker has joined since that bears its name, or is of its host where it had no name."""
        for address, joined in self._joined.items():
            name = str(self._present[address]["name"])
            same = name == lost.name or (
                lost.name == lost.address and urlsplit(address).hostname == lost.host
            )
            if same and joined > lost.since and address != lost.address:
                return True
        return False

    @property
    def run(self) -> str:
        """The word by which admitted workers know this run; empty where every worker is taken."""
        return self._token.text if self._token else ""

    @property
    def restriction(self) -> list[str] | None:
        """The workers a task may go to; None for any: a list of thousands with every task takes its time.

        A worker that joins before it is examined does not know the run, and gives its tasks back.
        """
        return list(self.admitted) if self._refused else None

    def forget(self, address: str) -> None:
        """A worker does not know the run: its process is another one than was admitted, or none was."""
        self.admitted.pop(address, None)
        self._due = 0.0

    def refresh(self) -> bool:
        """Look again, every few seconds at most; whether it did."""
        if time.monotonic() < self._due:
            return False
        self._due = time.monotonic() + _EVERY_SECONDS
        present = self._answer()
        if present is None:
            return True
        self._present = present
        self._joined = {each: self._joined.get(each, time.monotonic()) for each in present}
        self._refused = {each: why for each, why in self._refused.items() if each in present}
        newcomers = present.keys() - self.admitted.keys() - self._refused.keys()
        fit = self.admitted.keys() | self._fit(sorted(newcomers), present)
        self.admitted = {each: present[each]["nthreads"] for each in present if each in fit}
        if self._is_at_work:
            self._last_seen = time.monotonic()
        return True

    def state(self) -> dict[str, Any]:
        """Every worker as the scheduler last told of it."""
        return {
            address: {
                "host": worker["host"],
                "status": worker["status"],
                "silent_seconds": round(time.time() - worker["last_seen"], 1),
                "executing": worker["metrics"].get("executing", 0),
                "refused": self._refused.get(address, ""),
            }
            for address, worker in self._present.items()
        }

    def close(self) -> None:
        """Take the token away again."""
        if self._token is not None:
            self._token.remove()

    def _answer(self) -> Mapping[str, Any] | None:
        """Every worker as the scheduler knows it; None when the scheduler does not answer."""
        identity = self._client.scheduler.identity
        try:
            known = self._client.sync(identity, n_workers=-1, callback_timeout=_ANSWER_SECONDS)
        except OSError:
            return None
        workers: Mapping[str, Any] = known["workers"]
        return workers

    def _unfit_scheduler(self) -> list[str]:
        """Why the scheduler, which unpacks every task, cannot serve this run."""
        try:
            answer = self._client.run_on_scheduler(examine_scheduler)
        except Exception as error:  # whatever it raised there, as where gpuprep is not installed
            answer = error
        unfit = objections("the scheduler", answer)
        if not unfit and (advice := lenience(answer)):
            self._tell(Notice(advice))
        return unfit

    def _fit(self, newcomers: list[str], present: Mapping[str, Any]) -> set[str]:
        """Those newcomers that keep the terms; one that does not answer is asked again later."""
        if self._terms is None or self._token is None or not newcomers:
            return set(newcomers)
        terms = {**asdict(self._terms), "token": self.run, "file": str(self._token.file)}
        try:
            answers = self._client.run(examine, terms, workers=newcomers, on_error="return")
        except OSError:
            answers = {}
        fit = set()
        for address in newcomers:
            answer = answers.get(address)
            if isinstance(answer, OSError | None):
                continue
            if unfit := objections(f"worker {address}", answer):
                self._refused[address] = "; ".join(unfit)
                self._tell(Notice(f"no cases for it: {self._refused[address]}"))
                continue
            fit.add(address)
            if advice := shortage(present[address], self._terms):
                self._tell(Notice(f"worker {address} on host {answer['host']} {advice}"))
        return self._let_in(fit)

    def _let_in(self, fit: set[str]) -> set[str]:
        """Tell workers that they may have tasks; those that have heard it."""
        if not fit:
            return fit
        try:
            heard = self._client.run(admit, self.run, workers=sorted(fit), on_error="return")
        except OSError:
            return set()
        return {address for address in fit if heard.get(address, OSError()) is None}


class _Token:
    """A file or object in the output: a worker that reads the same text there works on the same output."""

    def __init__(self, output: Place) -> None:
        self.text = secrets.token_hex(16)
        self._output = output
        if isinstance(output, ObjectPath):
            self.file: Place = output / _TOKEN  # its output is this run's alone: one name will do
            self.file.write(self.text.encode())
            return
        for stale in output.glob(f"{_TOKEN}-*"):  # of a run that was killed
            stale.unlink(missing_ok=True)
        self.file = output / f"{_TOKEN}-{self.text[:8]}"  # a name that no network disk remembers
        self.file.write_text(self.text, "utf-8")

    def remove(self) -> None:
        if isinstance(self._output, ObjectPath):
            with suppress(GpuprepError):  # the next run writes over it
                self._output.delete([_TOKEN])
        else:
            (self._output / self.file.name).unlink(missing_ok=True)
