"""What is learnt of one case for the standards of its cohort."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gpuprep.config.intensity import IntensityStep
from gpuprep.config.model import Config
from gpuprep.config.standards import Nyul
from gpuprep.ops.landmarks import Landmarks
from gpuprep.ops.statistics import Distribution
from gpuprep.preprocess.channels import channel_rules
from gpuprep.preprocess.intensity import fold_steps, out_of_range, percentiles_after
from gpuprep.preprocess.measure import Measured
from gpuprep.preprocess.standards import learn
from gpuprep.preprocess.uptake import with_factors
from gpuprep.values.findings import Findings


def learn_standards(
    measured: Measured, config: Config, findings: Findings
) -> tuple[Landmarks, ...]:
    """A case's landmarks for every channel and output whose steps learn a standard, each once."""
    found: dict[str, Landmarks] = {}
    for part in config.parts().values():
        names = measured.assembled.channel_names
        for number, rule in enumerate(channel_rules(part.image, names)):
            before = _before(measured, number, rule.steps, findings)
            for each in learn(rule.key, rule.steps, before):
                found.setdefault(each.key, each)
    return tuple(found.values())


def _before(
    measured: Measured, number: int, steps: Sequence[IntensityStep], findings: Findings
) -> Callable[[int], Sequence[float]]:
    """Gives the percentiles that a channel has before one of its steps, for that step."""
    image = measured.distributions[number]
    name = measured.assembled.channel_names[number]

    def over(whose: str) -> Distribution:
        values = measured.foreground_of(number, findings) if whose == "foreground" else image
        return values if values.count else image

    def percentiles(place: int) -> Sequence[float]:
        step = steps[place].step
        assert isinstance(step, Nyul)
        path = measured.assembled.path
        earlier = with_factors(steps[:place], measured.uptake(number), name, path)
        chain = fold_steps(earlier, over, channel=name)
        found = percentiles_after(over(step.over), chain, step.percentiles)
        if not all(map(math.isfinite, found)):
            raise out_of_range(f"a percentile of {name} is {max(found, key=abs)}")
        return found

    return percentiles
