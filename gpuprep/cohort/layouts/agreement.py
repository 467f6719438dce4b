"""A cohort's cases must mean the same by a channel or a label value; those that differ are set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from gpuprep.cohort.layouts.found import Outcome
from gpuprep.cohort.layouts.tree import Tree
from gpuprep.values.case import Case

Names = tuple[str, ...]


def set_aside_odd_cases(tree: Tree, outcome: Outcome) -> None:
    """Keep the cases with the most frequent channels and structures; give the others' files a reason.

    Value ``i + 1`` of a merged label is its ``i``-th structure, so a case that lacks one structure would
    number all later ones differently. Cases with a single channel, or without structures, always agree
    with each other.
    """
    _keep_most_frequent(tree, outcome, _channels, "channels")
    _keep_most_frequent(tree, outcome, _structures, "structures")


def _keep_most_frequent(
    tree: Tree, outcome: Outcome, names_of: Callable[[Case], Names | None], what: str
) -> None:
    named = [(case, names_of(case)) for case in outcome.cases]
    counts = Counter(names for _, names in named if names is not None)
    if len(counts) < 2:
        return
    usual = max(counts, key=lambda names: (counts[names], len(names), names))
    outcome.cases = [case for case, names in named if names is None or names == usual]
    for case, names in named:
        if names is not None and names != usual:
            reason = _difference(case, names, usual, what)
            outcome.reasons.update((tree.relative(file), reason) for file in case.files)


def _channels(case: Case) -> Names:
    return tuple(source.name.lower() for source in case.images) if len(case.images) > 1 else ("",)


def _structures(case: Case) -> Names | None:
    names = tuple(source.name for label in case.labels for source in label.sources)
    return names if any(names) else None


def _difference(case: Case, names: Names, usual: Names, what: str) -> str:
    missing = ", ".join([name for name in usual if name and name not in names][:4])
    extra = ", ".join([name for name in names if name and name not in usual][:4])
    parts = [f"lacks {missing}" if missing else "", f"has {extra} besides" if extra else ""]
    told = " and ".join(part for part in parts if part) or "has them in another order"
    return (
        f"case {case.id} has other {what} than most cases: it {told}; complete it or use a manifest"
    )
