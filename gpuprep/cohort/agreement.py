"""What the cases of a cohort agree on: channels by name, and one numbering of the label classes.

Names decide, never positions. What an output has agreed on before stays as it is, so that values keep their
meaning when cases are added; a class that is new gets a value of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from gpuprep.values.agreement import Agreement, Classes, unnamed
from gpuprep.values.case import Case, natural_key
from gpuprep.values.errors import UsageError

_Key = tuple[tuple[tuple[int, str], ...], tuple[tuple[str, tuple[int, ...]], ...], int]

_ADVICE = "rename it in the input, or choose another output"


def agree(
    cases: Iterable[Case], present: Agreement | None = None, declared: Classes | None = None
) -> Agreement:
    """One agreement for all cases, with what the output ``present``-ly holds.

    Args:
        cases: of the whole input, so that the numbering does not depend on which of them are done.
        present: What earlier cases of the output were stored with.
        declared: Classes that the config gives every label map that brings none of its own.

    Returns:
        Channel names as most cases have them, empty where only their headers tell; of every label map the
        classes, by name. Values of ``present`` and, where they are free, those that an input gives are kept;
        structures of one file each are numbered in natural order of their names.

    Raises:
        UsageError: classes cannot agree; the message has both sides.
    """
    present = present or Agreement()
    told: Counter[tuple[str, ...]] = Counter()
    maps: dict[str, dict[tuple[bool, _Key], Classes]] = {}
    seen: dict[
        tuple[str, bool, int], Classes
    ] = {}  # most cases share what one description declares
    for case in cases:
        told[_names_or_numbers(case)] += 1
        for label in case.labels:
            same = label.name, label.structures, id(label.classes)
            if same in seen:
                continue
            seen[same] = label.classes  # held, so that no other one gets its id
            key = label.structures, _key(label.classes)
            maps.setdefault(label.name, {}).setdefault(key, label.classes)
    labels = dict(present.labels)
    for name in sorted(maps, key=natural_key):
        apart = sorted(maps[name].items(), key=lambda item: item[0])
        files = [classes for (structures, _), classes in apart if not structures]
        masks = [classes for (structures, _), classes in apart if structures]
        own = [declared] if declared is not None else []
        labels[name] = _union(name, labels.get(name), own + files, masks)
    return Agreement(present.channels or _usual(told), labels)


def channel_names(case: Case) -> tuple[str, ...]:
    """The names that the input gives the channels of a case; empty where it gives none."""
    names = tuple(source.name for source in case.images)
    return case.channels or (names if all(names) else ())


def _names_or_numbers(case: Case) -> tuple[str, ...]:
    """As ``channel_names``; of files of which some have a name, the others are called by their number."""
    names = [source.name for source in case.images]
    if case.channels or all(names) or not any(names):
        return channel_names(case)
    return tuple(name or number for name, number in zip(names, unnamed(len(names)), strict=True))


def _usual(told: Mapping[tuple[str, ...], int]) -> tuple[str, ...]:
    """The channels that most cases have, in the order that most of them have."""
    sets: Counter[frozenset[str]] = Counter()
    for names, number in told.items():
        sets[frozenset(names)] += number
    orders = sorted(told, key=lambda names: list(map(natural_key, names)))
    return max(
        orders,
        key=lambda names: (sets[frozenset(names)], len(names), sorted(names), told[names]),
        default=(),
    )


def _key(classes: Classes) -> _Key:
    """Equal for classes that say the same; orders them."""
    ignore = -1 if classes.ignore is None else classes.ignore
    return tuple(sorted(classes.names.items())), tuple(classes.regions.items()), ignore


def _union(
    label: str, present: Classes | None, files: Sequence[Classes], masks: Sequence[Classes]
) -> Classes:
    """All classes of one label map, each with one value."""
    numbers = {} if present is None else {name: value for value, name in present.names.items()}
    for classes in files:
        for value, name in sorted(classes.names.items()):
            if name not in numbers:
                numbers[name] = value if value not in numbers.values() else _free(numbers)
    fresh = {name for classes in masks for name in classes.names.values()} - numbers.keys()
    for name in sorted(fresh, key=natural_key):
        numbers[name] = _free(numbers)
    _check_spelling(label, numbers)
    names = {value: name for name, value in sorted(numbers.items(), key=lambda item: item[1])}
    sides = [each for each in (present, *files) if each is not None]
    ignore = _ignored(label, numbers, sides)
    regions, order = _regions(label, numbers, sides)
    return Classes(names, regions, order, ignore)


def _free(numbers: Mapping[str, int]) -> int:
    return max(numbers.values(), default=0) + 1


def _check_spelling(label: str, names: Iterable[str]) -> None:
    """Refuse names that differ by case or spaces alone: they are one class, spelt in two ways."""
    spelt: dict[str, str] = {}
    for name in names:
        other = spelt.setdefault(name.casefold().replace(" ", "_").replace("-", "_"), name)
        if other != name:
            raise UsageError(
                f"label {label}: {other!r} and {name!r} differ in their spelling alone",
                advice=_ADVICE,
            )


def _ignored(label: str, numbers: Mapping[str, int], sides: Iterable[Classes]) -> int | None:
    """The one ignored value of all sides, in the numbers of the cohort."""
    found = {numbers.get(side.names.get(each, ""), each) for side, each in _ignores(sides)}
    if len(found) > 1:
        told = " and ".join(map(str, sorted(found)))
        raise UsageError(f"label {label}: both {told} are to be ignored", advice=_ADVICE)
    return next(iter(found), None)


def _ignores(sides: Iterable[Classes]) -> Iterator[tuple[Classes, int]]:
    return ((side, side.ignore) for side in sides if side.ignore is not None)


def _regions(
    label: str, numbers: Mapping[str, int], sides: Iterable[Classes]
) -> tuple[dict[str, tuple[int, ...]], tuple[int, ...]]:
    """The regions of all sides, in the numbers of the cohort."""
    regions: dict[str, tuple[int, ...]] = {}
    order: tuple[int, ...] = ()
    for side in sides:
        moved = {value: numbers[name] for value, name in side.names.items()}
        for name, values in side.regions.items():
            held = tuple(moved.get(value, value) for value in values)
            if set(regions.setdefault(name, held)) != set(held):
                told = f"{list(regions[name])} and {list(held)}"
                raise UsageError(f"label {label}: region {name!r} is both {told}", advice=_ADVICE)
        order = order or tuple(moved.get(value, value) for value in side.order)
    return regions, order if len(order) == len(regions) else ()
