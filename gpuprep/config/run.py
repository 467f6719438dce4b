"""How often, how long and how patiently a run tries; decides nothing about the results."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gpuprep.config.strict import Positive, Strict


class Run(Strict):
    """What is done about cases that fail without being at fault, and about workers that fall silent."""

    tries: Annotated[int, Field(ge=1, le=100)] = 5
    """Attempts at a case while the disk or the network fails; the wait between them doubles."""
    backoff: Positive = 1.0
    """Seconds before the second attempt, up to half of it less by chance."""
    crashes: Annotated[int, Field(ge=1, le=10)] = 2
    """Worker or reader processes that one case may take down, all but the first alone, before it is
    called poison."""
    storm: Annotated[int, Field(ge=2)] = 20
    """Cases failing alike one after the other, of anything but their files, that stop the run."""
    drain: Positive = 10.0
    """Seconds that running cases have to finish after a first Ctrl-C."""
    deadline: Positive = 6 * 3600.0
    """Seconds for one case; its worker process is killed then, which counts as a crash of the case. A run
    without workers gives the case up as soon as native code returns."""
    stuck: Positive = 900.0
    """Seconds (or ten times the median case, if longer) without a finished case after which all workers
    are replaced."""
    silence: Positive = 300.0
    """Seconds without a sign of life after which a worker counts as dead."""
