"""What a job would do, told before it is accepted, by a process of its own that stays warm.

The whole input is listed; headers are read of a sample, so that a hundred thousand cases are accepted as
soon as they are listed. What no header was read of, the job finds out case by case.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpuprep.host.priority import take_turns
from gpuprep.service.problems import Problem
from gpuprep.values.case import Case
from gpuprep.values.errors import GpuprepError, UsageError
from gpuprep.values.events import CaseFailed

if TYPE_CHECKING:
    from gpuprep.io.sandbox.parent import Sandbox

SAMPLE = 16
_SHOWN = 20  # refusals that an answer names
_WHOLE_SECONDS = 600.0
_LONGEST = 16 << 20  # of an answer


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a job would do; bytes are projected from the cases that were looked at."""

    layout: str
    cases: int
    """To be done, of the whole input."""
    looked_at: int
    refused: int
    refusals: tuple[dict[str, str], ...]
    """The first of them: case, code, message, advice."""
    unmatched: int
    """Files that belong to no case."""
    bytes_in: int
    bytes_out: int
    peak_bytes: int
    """Of the case that needs most."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Rehearser:
    """Rehearses jobs in other processes: those that are submitted, apart from those only looked at."""

    def __init__(self) -> None:
        self._quick = _Other()
        self._whole = _Other()

    async def warm(self) -> None:
        """Start the process for submissions while nobody waits."""
        await self._quick.warm()

    async def rehearse(
        self,
        source: Path,
        config: dict[str, Any],
        *,
        only: Sequence[str],
        limit: int | None,
        whole: bool,
    ) -> Rehearsal:
        """What a run would do with an input.

        Raises:
            Problem: the input or the config cannot be used at all, or it takes too long.
        """
        asked = {"source": str(source), "config": config, "only": list(only), "limit": limit}
        line = json.dumps({**asked, "whole": whole}).encode() + b"\n"
        told = await (self._whole if whole else self._quick).ask(line)
        if "problem" in told:
            problem = told["problem"]
            raise Problem(
                problem["status"],
                problem["detail"],
                code=problem["code"],
                advice=problem["advice"],
            )
        return Rehearsal(**{**told, "refusals": tuple(told["refusals"])})

    def close(self) -> None:
        """End the processes at once."""
        self._quick.close()
        self._whole.close()


class _Other:
    """A process that rehearses one job at a time."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._one = asyncio.Lock()

    async def warm(self) -> None:
        async with self._one:
            await self._started()

    async def ask(self, line: bytes) -> dict[str, Any]:
        """What it says to a request; one that had died meanwhile is asked again."""
        async with self._one:
            for last in (False, True):
                try:
                    answer = await asyncio.wait_for(self._answer(line), _WHOLE_SECONDS)
                    told: dict[str, Any] = json.loads(answer)
                except (OSError, ValueError) as error:  # it died
                    self.close()
                    if last:
                        raise _unseen() from error
                except TimeoutError:
                    self.close()
                    raise _unseen() from None
                except (
                    BaseException
                ):  # nobody waits any more: its answer would be taken for the next one's
                    self.close()
                    raise
                else:
                    return told
        raise AssertionError

    def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        self._process = None

    async def _answer(self, line: bytes) -> bytes:
        process = await self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        await process.stdin.drain()
        return await process.stdout.readline()

    async def _started(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gpuprep.service.jobs.rehearsal"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_LONGEST,
                start_new_session=True,
            )
        return self._process


def _unseen() -> Problem:
    wait = {"Retry-After": "10"}
    return Problem(503, "the input could not be looked at", code="E_PLAN", headers=wait)


def main() -> None:
    """Answer the requests on standard input, line by line, until it ends."""
    take_turns()
    reader = _warm()  # while nobody waits
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        gc.disable()  # a listing makes a million values that stay, and looking through them takes its time
        try:
            told = _rehearse(asked, reader).to_json()
        except GpuprepError as error:
            problem = Problem.of(error)
            names = ("status", "detail", "code", "advice")
            told = {"problem": {name: getattr(problem, name) for name in names}}
        answers.write(json.dumps(told).encode() + b"\n")
        gc.enable()
        gc.collect()


def _warm() -> Sandbox:
    """Load what requests need; returns a process that reads headers, as it will for all of them."""
    import gpuprep.io.reader
    import gpuprep.planning.preview  # noqa: F401
    from gpuprep.config.file import parse_config
    from gpuprep.io.rules import ReadRules
    from gpuprep.io.sandbox.parent import Sandbox

    reader = Sandbox(ReadRules.of(parse_config({}, "config")))
    with suppress(GpuprepError):  # whoever submits will be told
        reader.get_ready()
    return reader


def _rehearse(asked: dict[str, Any], reader: Sandbox | None = None) -> Rehearsal:
    from gpuprep.cohort.discover import choose, discover
    from gpuprep.config.file import parse_config
    from gpuprep.io.rules import ReadRules
    from gpuprep.planning.agreement import named, settle
    from gpuprep.planning.rehearsals import rehearse_all
    from gpuprep.preprocess.reference import with_reference

    config = with_reference(parse_config(asked["config"], "config"))
    found = discover(
        Path(asked["source"]),
        layout=config.input.layout,
        follow_symlinks=config.input.follow_symlinks,
        series=config.input.series,
        several_volumes=config.input.several_volumes,
        structures=config.input.structure_rules,
    )
    if not found.cases:
        raise UsageError(
            "there is no case in the input", advice="gpuprep guide inputs has the layouts"
        )
    found = replace(found, cases=named(found.cases, config))
    cases = choose(found.cases, only=asked["only"], failed=None, limit=asked["limit"])
    sample = list(cases) if asked["whole"] else _spread(cases, SAMPLE)
    rules = ReadRules.of(config, root=found.root)
    agreement = settle(found, None, config)
    rows = list(rehearse_all(sample, config, agreement, rules, warm=reader))
    refused = [row for row in rows if isinstance(row, CaseFailed)]
    done = [row for row in rows if not isinstance(row, CaseFailed)]
    scale = len(cases) / len(sample)
    return Rehearsal(
        found.layout,
        len(cases),
        len(sample),
        len(refused),
        tuple(_told(row) for row in refused[:_SHOWN]),
        len(found.unmatched),
        int(scale * sum(row.bytes_in for row in done)),
        int(scale * sum(row.bytes_out for row in done)),
        max((row.peak_bytes for row in done), default=0),
    )


def _told(failure: Any) -> dict[str, str]:
    """A refusal, without the path of the file: the service's folders are nobody's business."""
    told: dict[str, str] = {**failure.to_json()}
    del told["path"]
    return told


def _spread(cases: Sequence[Case], most: int) -> list[Case]:
    """So many cases, evenly from the first to the last."""
    if len(cases) <= most:
        return list(cases)
    return [cases[round(k * (len(cases) - 1) / (most - 1))] for k in range(most)]


if __name__ == "__main__":
    main()
