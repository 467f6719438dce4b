"""What to do with the values of each channel, by its kind and its foreground."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuprep.advice.facts import CohortFacts
from gpuprep.advice.wording import cases, counted, listed, rounded
from gpuprep.advice.written import Entry

_LITTLE = 3 / 4  # of a case that the crop leaves: then nnU-Net normalises within the mask
_WORTH = 0.95  # of a case that a crop leaves; above, it is not worth its box
_NAMED: Mapping[str, tuple[tuple[Entry, ...], str]] = {
    "nonorm": ((), "left as it is: its name says so"),
    "rescale_to_0_1": (
        (Entry("", {"rescale": {"to": [0, 1]}}),),
        "each image from its least to its largest value, as its name says",
    ),
    "rgb_to_0_1": (
        (Entry("", {"rescale": {"from": [0, 255], "to": [0, 1]}}),),
        "8 bits to the unit range, as its name says",
    ),
}
"""Channels that nnU-Net normalises by their names."""


def crop(facts: CohortFacts) -> Entry:
    """``image.crop``."""
    kept = facts.kept
    if kept is None:
        why = "what is not zero; how much that is, headers do not tell"
        return Entry("crop", {"to": "nonzero"}, why)
    if kept < _WORTH:
        return Entry(
            "crop", {"to": "nonzero"}, f"half of the cases keep {kept:.0%} of their voxels"
        )
    why = f"what is not zero is {kept:.0%} of half of the cases: nothing worth a crop"
    bodies = sorted(case.body for case in facts.cases if case.body is not None)
    if bodies and bodies[len(bodies) // 2] < _WORTH:
        why += f"; a crop to the body would keep {bodies[len(bodies) // 2]:.0%}"
    return Entry("crop", {"to": "none"}, why)


def foreground(facts: CohortFacts) -> Entry:
    """``image.foreground``: what ``over: foreground`` and ``over: cohort`` mean."""
    kinds = [facts.kind(number) for number in range(len(facts.channels))]
    rule: dict[str, object] = {"where": "nonzero"}
    if _over_cohort(facts, kinds):
        labelled = any(case.labelled for case in facts.cases)
        rule = {"where": "label" if labelled else "body"}
        why = "labelled voxels" if labelled else "of a CT without label maps: the body"
        return Entry("foreground", rule, f"{why}; the statistics of the cohort are taken of these")
    if facts.kept is not None and facts.kept < _LITTLE and "CT" not in kinds:
        rule |= {"fill_holes": True, "outside": "zero"}
        return Entry(
            "foreground",
            rule,
            f"the crop leaves {facts.kept:.0%} of half of the cases, less than three quarters: the mask "
            "alone is normalised, the rest becomes 0, as nnU-Net does",
        )
    used = any(kind != "CT" for kind in kinds)
    why = "the voxels that over: foreground means" if used else "no step below asks for it"
    return Entry("foreground", rule, why)


def _over_cohort(facts: CohortFacts, kinds: Sequence[str]) -> bool:
    """Whether some CT channel has its numbers still to be taken."""
    return any(
        kind == "CT" and name not in facts.spreads
        for kind, name in zip(kinds, facts.channels, strict=True)
    )


def steps(facts: CohortFacts) -> list[Entry]:
    """``image.intensity``, or ``image.channels`` where channels differ."""
    each = [channel_steps(facts, number) for number in range(len(facts.channels))]
    values = [[step.value for step in found] for found, _ in each]
    if all(value == values[0] for value in values):
        found, why = each[0]
        return [Entry("intensity", found or [], why)]
    below = tuple(
        Entry(name, (Entry("intensity", found or [], why),))
        for name, (found, why) in zip(facts.channels, each, strict=True)
    )
    return [Entry("channels", below, "channels differ in what their values mean")]


def channel_steps(facts: CohortFacts, number: int) -> tuple[tuple[Entry, ...], str]:
    """The steps of a channel, and why."""
    name, kind = facts.channels[number], facts.kind(number)
    if name.casefold() in _NAMED:
        return _NAMED[name.casefold()]
    if kind != "CT":
        step = Entry("", {"zscore": {"over": "foreground"}})
        what = kind or "not CT, by what is known of it"
        return (step,), f"{what}: values have no unit, so each image has its own mean and deviation"
    spread = facts.spreads.get(name)
    if spread is None:
        both = {"low": 0.5, "high": 99.5, "over": "cohort"}
        return (
            Entry("", {"percentile_clip": both}),
            Entry("", {"zscore": {"over": "cohort"}}),
        ), "CT: HU mean the same in all cases; the run takes these numbers first, of all cases"
    of = f"of the {facts.counted} of {cases(spread.cases)}, each case with the same weight"
    window = {"low": rounded(spread.low), "high": rounded(spread.high)}
    numbers = {"mean": rounded(spread.mean), "std": rounded(spread.std)}
    if spread.low >= spread.high or not spread.std:
        step = Entry("", {"zscore": {"over": "foreground"}})
        return (step,), f"CT, but its foreground has one value, {spread.low:g} HU"
    return (
        Entry("", {"clip": window}, f"HU; 0.5 and 99.5 percentile {of}"),
        Entry("", {"zscore": numbers}, "their mean and standard deviation"),
    ), "CT: HU mean the same in all cases, so all have the same numbers, as in nnU-Net"


def kind_warnings(facts: CohortFacts) -> list[str]:
    """Channels that are not of one kind in all cases."""
    told = []
    for number, name in enumerate(facts.channels):
        kind, kinds = facts.kind(number), facts.kinds(number)
        others = [
            case.case_id
            for case, each in zip(facts.cases, kinds, strict=False)
            if each and each != kind
        ]
        if others:
            found = {each: kinds.count(each) for each in dict.fromkeys(kinds)}
            told.append(
                f"channel {name} is of several kinds ({counted(found)}); what is below suits {kind}: "
                f"take out {listed(others)}, or prepare them by themselves"
            )
    return told
