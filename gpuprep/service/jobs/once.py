"""Requests with a key: one key makes one job, however often it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from gpuprep.service.jobs.database import Database
from gpuprep.service.jobs.dispatcher import digest_of
from gpuprep.service.jobs.job import Job
from gpuprep.service.problems import Problem


class Once:
    """Makes a job once for each key of each user."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}

    async def job(
        self,
        who: str,
        key: str | None,
        asked: Any,
        make: Callable[[str], Awaitable[Job]],
        see: Callable[[str], Job],
    ) -> tuple[Job, bool]:
        """The job of a request, and whether it is new.

        Args:
            who: Asks.
            key: Of the request; without one each is a new job.
            asked: What is asked for, which is the same whenever the key is.
            make: Makes the job, to be kept with a text.
            see: Gives a job by its id, as far as whoever asks may see it now.

        Raises:
            Problem: 409, the key came with another request; any other of ``see``.
        """
        if key is None:
            return await make(""), True
        async with self._alone((who, key)):
            digest = digest_of(asked)
            known = self._database.by_key(who, key)
            if known is None:
                return await make(f"{key} {digest}"), True
            if known[0] != digest:
                raise Problem(
                    409,
                    "this Idempotency-Key came with another request before",
                    code="E_KEY",
                    advice="take a new key for a new request",
                )
            return see(known[1]), False

    @asynccontextmanager
    async def _alone(self, key: tuple[str, str]) -> AsyncIterator[None]:
        """One request with a key at a time."""
        lock, users = self._keys.get(key, (asyncio.Lock(), 0))
        self._keys[key] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._keys.pop(key)
            if users > 1:
                self._keys[key] = lock, users - 1
