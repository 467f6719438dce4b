"""A process that reads headers and stays for the next input."""

import os
import signal
from pathlib import Path

from gpuprep.cohort.discover import discover
from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.planning import rehearsals
from gpuprep.planning.agreement import settle
from gpuprep.preprocess.projection import Projection
from gpuprep.values.events import CaseFailed


def test_a_warm_reader_is_taken_and_left_for_the_next_time(cohort_folder: Path) -> None:
    found = discover(cohort_folder)
    config, strict = parse_config({}), parse_config({"input": {"limits": {"voxels": 1}}})

    def told(config: Config) -> list[type]:
        rules = ReadRules.of(config, root=found.root)
        agreement = settle(found, None, config)
        rows = rehearsals.rehearse_all(found.cases, config, agreement, rules, warm=warm)
        return [type(row) for row in rows]

    with Sandbox() as warm:
        warm.get_ready()
        first = warm.pid
        assert told(config) == [Projection] * 4
        assert warm.pid == first
        os.kill(warm.pid or 0, signal.SIGKILL)
        assert told(config) == [Projection] * 4  # by another one
        assert told(strict) == [CaseFailed] * 4  # not by what it was started with
        assert warm.pid not in (None, first)
