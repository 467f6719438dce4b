"""What is wrong with a series, and what to do about it: by hand, or by a policy of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gpuprep.values.codes import Policy

_NAMED = 4  # volumes named in a message; all of them are in its values


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a series: the code and the words; ``values`` has the numbers.

    ``by_hand`` is advice beside what there is for every problem of the code.

    The policy ``fix`` is an error where it is not ``repairable``: nothing tells which slices are right.
    """

    code: str
    text: str
    values: dict[str, Any] = field(default_factory=dict)
    repairable: bool = True
    by_hand: str = ""

    def of(self, volumes: Sequence[str]) -> Problem:
        """The same, found in these of several volumes."""
        more = f" and {len(volumes) - _NAMED} more" if len(volumes) > _NAMED else ""
        where = f"{', '.join(volumes[:_NAMED])}{more}"
        return replace(
            self, text=f"{where}: {self.text}", values={**self.values, "volumes": list(volumes)}
        )


_BY_HAND = {
    "E_MIXED_SERIES": "Select one of the images.",
    "E_SLICE_DUP": "Remove the extra slices.",
    "E_SLICE_GAP": "Find the missing slices, or raise input.slice_tolerance if none is missing.",
}
_ORDER: tuple[Policy, ...] = ("fix", "warn", "error")
_WAYS: dict[tuple[str, Policy], str] = {
    ("E_MIXED_SERIES", "fix"): "keeps the largest",
    ("E_MIXED_RESCALE", "fix"): "rescales every slice by its own line",
    ("E_SLICE_DUP", "fix"): "drops copies",
    ("E_SLICE_GAP", "fix"): "interpolates slices at even steps",
    ("E_TILT", "fix"): "shifts the slices back",
    ("W_MONOCHROME1", "fix"): "inverts them",
    ("W_MONOCHROME1", "error"): "refuses them",
    ("E_SLICE_DUP", "warn"): "keeps the first of each position by instance number",
    ("E_SLICE_GAP", "warn"): "takes the mean spacing",
    ("E_TILT", "warn"): "ignores the shift",
}


def advice_on(problems: Iterable[Problem], policy_of: Callable[[str], Policy]) -> str:
    """What can be done: first by hand, then the policies that are not set yet, all codes in one key.

    >>> advice_on([Problem("E_TILT", "a tilt")], lambda code: "fix")
    'input.policy {E_TILT: warn} ignores the shift.'
    """
    told = list(problems)
    by_hand = [_BY_HAND[one.code] for one in told if one.code in _BY_HAND]
    by_hand += [one.by_hand for one in told if one.by_hand]
    ways = [way for policy in _ORDER if (way := _way(told, policy, policy_of))]
    return " ".join([*by_hand, *ways])


def _way(problems: list[Problem], policy: Policy, policy_of: Callable[[str], Policy]) -> str:
    able = [
        one.code
        for one in problems
        if (one.code, policy) in _WAYS
        and policy_of(one.code) != policy
        and (policy != "fix" or one.repairable)
    ]
    if not able:
        return ""
    keys = ", ".join(f"{code}: {policy}" for code in able)
    told = " and ".join(_WAYS[code, policy] for code in able)
    return f"input.policy {{{keys}}} {told}."
