"""What to do with the values of each channel, by its kind and its foreground."""

from __future__ import annotations

from collections.abc import Mapping

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
            "crop", {"to": "nonzero"}, f"what is not zero is {kept:.0%} of the median case"
        )
    why = f"what is not zero is {kept:.0%} of the median case: nothing worth a crop"
    bodies = sorted(case.body for case in facts.cases if case.body is not None)
    if bodies and bodies[len(bodies) // 2] < _WORTH:
        why += f"; a crop to the body would keep {bodies[len(bodies) // 2]:.0%}"
    return Entry("crop", {"to": "none"}, why)


def foreground(facts: CohortFacts) -> Entry:
    """``image.foreground``: what ``over: foreground`` and ``over: cohort`` mean."""
    if _by_label(facts):
        why = "labelled voxels; the statistics of the cohort are taken of these"
        return Entry("foreground", {"where": "label"}, why)
    rule: dict[str, object] = {"where": "nonzero"}
    if _masked(facts):
        if any(case.labelled for case in facts.cases):
            rule = {"where": "nonzero_or_label"}
        rule |= {"fill_holes": True} | ({} if _with_ct(facts) else {"outside": "zero"})
        return Entry(
            "foreground",
            rule,
            f"the crop leaves {facts.kept:.0%} of the median case, less than three quarters: of what has no "
            "unit the mask alone is normalised, and the rest becomes 0, as nnU-Net does",
        )
    if _still_to_take(facts):
        why = "of a CT without label maps: every voxel but 0; the statistics of the cohort are taken of these"
    elif any(each != "CT" for each in _kinds(facts)):
        why = "the voxels that over: foreground means"
    else:
        why = "no step below asks for it"
    return Entry("foreground", rule, why)


def _kinds(facts: CohortFacts) -> list[str]:
    return [facts.kind(number) for number in range(len(facts.channels))]


def _with_ct(facts: CohortFacts) -> bool:
    return "CT" in _kinds(facts)


def _still_to_take(facts: CohortFacts) -> bool:
    """Whether some CT channel has its numbers still to be taken."""
    named = zip(_kinds(facts), facts.channels, strict=True)
    return any(kind == "CT" and name not in facts.spreads for kind, name in named)


def _by_label(facts: CohortFacts) -> bool:
    """Whether the foreground is what is labelled: the run takes the numbers of a CT of it."""
    return _still_to_take(facts) and any(case.labelled for case in facts.cases)


def _masked(facts: CohortFacts) -> bool:
    """Whether images without a unit are normalised within their mask."""
    little = facts.kept is not None and facts.kept < _LITTLE
    return little and any(_by_zscore(facts, number) for number in range(len(facts.channels)))


def _by_zscore(facts: CohortFacts, number: int) -> bool:
    named = facts.channels[number].casefold() in _NAMED
    return not named and facts.kind(number) != "CT"


def steps(facts: CohortFacts) -> list[Entry]:
    """``image.intensity``, or ``image.channels`` where channels differ."""
    each = [channel_steps(facts, number) for number in range(len(facts.channels))]
    if not each:
        return []  # label maps alone
    values = [[step.value for step in found] for found, _ in each]
    if all(value == values[0] for value in values):
        found, why = each[0]
        return [Entry("intensity", found or [], why)]
    zeroed = _masked(facts) and _with_ct(facts) and not _by_label(facts)
    below = []
    for number, (name, (found, why)) in enumerate(zip(facts.channels, each, strict=True)):
        own = [Entry("intensity", found or [], why)]
        if zeroed and _by_zscore(facts, number):
            own.append(Entry("outside", "zero", "outside the mask"))
        below.append(Entry(name, tuple(own)))
    return [Entry("channels", tuple(below), "channels differ in what their values mean")]


def channel_steps(facts: CohortFacts, number: int) -> tuple[tuple[Entry, ...], str]:
    """The steps of a channel, and why."""
    name, kind = facts.channels[number], facts.kind(number)
    if name.casefold() in _NAMED:
        return _NAMED[name.casefold()]
    if kind != "CT":
        over = "image" if _by_label(facts) else "foreground"
        step = Entry("", {"zscore": {"over": over}})
        if kind == "PT":
            why = "PET: values change with dose and weight, so each image has its own mean and deviation"
            return (
                step,
            ), f"{why}; suv first of all steps makes them one scale, where files tell both"
        what = kind or "not CT, by what is known of it"
        return (step,), f"{what}: values have no unit, so each image has its own mean and deviation"
    spread = facts.spreads.get(name)
    if spread is None:
        return _still_to_be_taken(facts)
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


def _still_to_be_taken(facts: CohortFacts) -> tuple[tuple[Entry, ...], str]:
    """Steps of a CT whose numbers the run takes first."""
    zscore = Entry("", {"zscore": {"over": "cohort"}})
    if any(case.labelled for case in facts.cases):
        both = {"low": 0.5, "high": 99.5, "over": "cohort"}
        first = Entry("", {"percentile_clip": both})
    else:
        first = Entry("", {"clip": {"low": -1000, "high": 1000}}, "HU; from air to bone")
    why = (
        "CT: HU mean the same in all cases; the run takes what is over: cohort first, of all cases"
    )
    return (first, zscore), why


def kind_warnings(facts: CohortFacts) -> list[str]:
    """Channels that are not of one kind in all cases, or of which headers do not tell it."""
    told = []
    for number, name in enumerate(facts.channels):
        kind, kinds = facts.kind(number), facts.kinds(number)
        if not kind and name.casefold() not in _NAMED:
            told.append(
                f"{'records' if facts.read else 'headers'} do not tell whether channel {name} is CT, and it "
                "is taken for none: have voxels read, or name it with input.channels: [CT]"
            )
        others = [
            case.case_id
            for case, each in zip(facts.cases, kinds, strict=False)
            if each and each != kind
        ]
        if others:
            found = {each or "unknown": kinds.count(each) for each in dict.fromkeys(kinds)}
            told.append(
                f"channel {name} is of several kinds ({counted(found)}); what is below suits {kind}: "
                f"take out {listed(others)}, or prepare them by themselves"
            )
    return told
