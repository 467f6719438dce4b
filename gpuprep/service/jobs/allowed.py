"""What a client's config may say. What is not listed is the operator's to decide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from gpuprep.service.problems import Problem

ALLOWED = (
    *("version", "image", "label", "store.dtype", "store.chunk", "store.codec", "store.keep_bits"),
    *("store.pyramid", "input.layout", "input.channels", "input.series", "input.grid_tolerance"),
    "input.reader",
    *(
        "input.several_volumes",
        *("input.structures", "input.label_layers", "input.label_series"),
        "input.slice_tolerance",
        "input.policy",
        "run.statistics",
        "run.tries",
    ),
    "report",
)
"""Places in a config that clients may set, with all below them, unless the settings say otherwise."""

_NEVER = ("image.resample.reference", "cluster", "input.roots", "input.follow_symlinks")
_NEVER_OF_OUTPUTS = re.compile(r"outputs\.[^.]+\.resample\.reference(\.|$)")
"""They lead to other hosts, or to files outside the roots."""


def check_allowed(tree: Mapping[str, Any], allowed: tuple[str, ...] = ALLOWED) -> None:
    """Refuse a config that sets what only the operator may.

    Raises:
        Problem: 422, with the place.
    """
    if _reads_files(tree):
        raise Problem(
            422,
            "nyul: landmarks and histogram_match: reference, which are files, are the operator's to set",
            code="E_NOT_ALLOWED",
            advice="write the numbers out (standard; values and shares), as gpuprep jobs submit does, "
            "or name a profile that has it",
        )
    for place in _places(tree):
        if _is_never(place) or not (_is_under(place, allowed) or _leads_to(place, allowed)):
            raise Problem(
                422,
                f"config.{place} is the operator's to set",
                code="E_NOT_ALLOWED",
                advice="leave it out, or name a profile that has it",
            )


def shown(tree: Mapping[str, Any], allowed: tuple[str, ...] = ALLOWED) -> dict[str, Any]:
    """What clients may know of an operator's config: the part that they could set themselves."""

    def kept(node: Mapping[str, Any], above: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.items():
            place = f"{above}{key}"
            if _is_never(place):
                continue
            if isinstance(value, Mapping) and value:
                inner = kept(value, f"{place}.")
                found |= {key: inner} if inner else {}
            elif _is_under(place, allowed):
                found[key] = _without_files(value)
        return found

    return kept(tree, "")


_FILES = (("nyul", "landmarks"), ("histogram_match", "reference"))
"""Steps, and their keys that name a file."""


def _without_files(tree: Any) -> Any:
    """The same without the names of files that steps read."""
    if isinstance(tree, Mapping):
        named = {step: key for step, key in _FILES if isinstance(tree.get(step), Mapping)}
        return {
            name: {k: v for k, v in value.items() if k != named[name]}
            if name in named
            else _without_files(value)
            for name, value in tree.items()
        }
    return list(map(_without_files, tree)) if isinstance(tree, list | tuple) else tree


def _reads_files(tree: Any) -> bool:
    """Whether a step takes its numbers from a file."""
    if isinstance(tree, Mapping):
        return any(
            (step in tree and isinstance(tree[step], Mapping) and key in tree[step])
            for step, key in _FILES
        ) or any(map(_reads_files, tree.values()))
    return isinstance(tree, list | tuple) and any(map(_reads_files, tree))


def _places(tree: Mapping[str, Any], above: str = "") -> Iterator[str]:
    """Every place that is set, dotted; of a mapping with entries only those."""
    for key, value in tree.items():
        place = f"{above}.{key}" if above else str(key)
        if isinstance(value, Mapping) and value:
            yield from _places(value, place)
        else:
            yield place


def _is_never(place: str) -> bool:
    return _is_under(place, _NEVER) or _NEVER_OF_OUTPUTS.match(place) is not None


def _is_under(place: str, listed: tuple[str, ...]) -> bool:
    return any(place == each or place.startswith(f"{each}.") for each in listed)


def _leads_to(place: str, listed: tuple[str, ...]) -> bool:
    """Whether it is an empty block around something that is listed."""
    return any(each.startswith(f"{place}.") for each in listed)
