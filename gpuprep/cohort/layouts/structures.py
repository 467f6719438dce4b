"""Label maps of files that name their structures: DICOM segmentations and contours, ``.seg.nrrd``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpuprep.cohort.layouts.naming import folder_name
from gpuprep.cohort.layouts.tree import has_dicom_magic
from gpuprep.io.dicom.known import KnownHeaders
from gpuprep.io.dicom.membership import Structures
from gpuprep.io.text.segments import as_volume, segments_in
from gpuprep.values.agreement import Classes
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.errors import InputError
from gpuprep.values.structures import StructureRules

if TYPE_CHECKING:
    from gpuprep.io.dicom.series import Series

_NAME = "segmentation"


@dataclass(frozen=True, slots=True)
class Drawn:
    """An image series that structures may be drawn on: its cases by place, and what it is known by."""

    cases: tuple[int, ...]
    series: str
    study: str
    files: int = 0


def paired(
    cases: list[Case],
    images: Sequence[Drawn],
    found: Mapping[str, Structures],
    rules: StructureRules,
) -> dict[str, str]:
    """Give cases the structures that were drawn on them; returns why the other files are in no case.

    The UIDs of the series that a file refers to decide; where it names none, its study, if that holds one
    image series alone.
    """
    reasons: dict[str, str] = {}
    given: dict[int, list[tuple[str, Structures]]] = {}
    for path, told in found.items():
        image = _image_of(told, images)
        if isinstance(image, str):
            reasons[path] = image
            continue
        for place in image.cases:
            given.setdefault(place, []).append((path, told))
    for place, files in given.items():
        case = cases[place]
        names = _map_names([told.description for _, told in files])
        labels: list[LabelSource] = []
        for name, (path, told) in zip(names, files, strict=True):
            own = of_dicom(path, told, rules, name, case.images[0])
            labels += own
            if not own:
                told_of = "none of its structures is in input.structures"
                reasons[path] = told_of if told.names else "it declares no structures"
        cases[place] = replace(case, labels=tuple(_apart([*case.labels, *labels])))
    return reasons


def masked(cases: list[Case], images: Sequence[Drawn], masks: Sequence[Series]) -> dict[str, str]:
    """Give cases the series that are masks; returns why the files of others are in no case.

    A mask belongs to the one image series of its study, or of several to the one with as many files.
    """
    reasons: dict[str, str] = {}
    for mask in masks:
        same = [image for image in images if image.study == mask.study]
        fitting = same if len(same) == 1 else [one for one in same if one.files == len(mask.files)]
        if len(fitting) != 1:
            text = f"mask of one of {len(same)} series of its study; list it in a manifest"
            reasons |= dict.fromkeys(mask.files, text)
            continue
        for place in fitting[0].cases:
            label = LabelSource((Source(mask.folder, mask.files),), _mask_name(mask, masks))
            labels = _apart([*cases[place].labels, label])
            cases[place] = replace(cases[place], labels=tuple(labels))
    return reasons


def _mask_name(mask: Series, masks: Sequence[Series]) -> str:
    beside = sum(other.study == mask.study for other in masks)
    return _NAME if beside == 1 else folder_name(mask.description or Path(mask.folder).name)


def of_dicom(
    path: str, told: Structures, rules: StructureRules, name: str, image: Source | None
) -> list[LabelSource]:
    """The label maps of a DICOM file: one, or with ``rules.layers`` one per structure."""
    numbers = [number for number, _ in told.names]
    groups = rules.groups(name for _, name in told.names)
    source = Source(path, drawn_on=None if image is None else replace(image, name=""))
    if rules.layers:
        return [
            _layer(source, "+".join(str(numbers[each]) for each in places), each_name)
            for each_name, places in groups.items()
        ]
    if not groups:
        return []
    if not rules.names:
        return [LabelSource((source,), name, Classes(dict(told.names)))]
    volume = ",".join("+".join(str(numbers[each]) for each in places) for places in groups.values())
    classes = Classes(dict(enumerate(groups, start=1)))
    return [LabelSource((replace(source, volume=volume),), name, classes)]


def with_structures(
    cases: Iterable[Case], rules: StructureRules, headers: KnownHeaders
) -> list[Case]:
    """Cases whose label files name their structures, with these names; others are as they were."""
    return [_named(case, rules, headers) for case in cases]


def _named(case: Case, rules: StructureRules, headers: KnownHeaders) -> Case:
    if not any(_may_name(label) for label in case.labels):
        return case
    labels: list[LabelSource] = []
    for label in case.labels:
        labels += _of_file(label, case.images[0], rules, headers) if _may_name(label) else [label]
    return replace(case, labels=tuple(_apart(labels)))


def _may_name(label: LabelSource) -> bool:
    source = label.sources[0]
    if (
        len(label.sources) > 1
        or source.files
        or source.name
        or label.classes.names
        or source.drawn_on
    ):
        return False
    path = source.path.lower()
    return path.endswith((".seg.nrrd", ".dcm")) or "." not in Path(path).name


def _of_file(
    label: LabelSource, image: Source, rules: StructureRules, headers: KnownHeaders
) -> list[LabelSource]:
    path, image = label.sources[0].path, replace(image, name="")
    if path.lower().endswith(".nrrd"):
        return _of_nrrd(label, image, rules)
    if has_dicom_magic(path):
        for _, told in headers.read([path]):
            if isinstance(told, Structures):
                return of_dicom(path, told, rules, label.name, image) or [label]
    return [label]


def _of_nrrd(label: LabelSource, image: Source, rules: StructureRules) -> list[LabelSource]:
    try:
        segments = segments_in(Path(label.sources[0].path))
    except (InputError, OSError):
        return [label]  # which reading will refuse
    if not segments:
        return [label]
    source = replace(label.sources[0], drawn_on=image)
    groups = {
        name: [segments[place] for place in places]
        for name, places in rules.groups(_told_apart(one.name for one in segments)).items()
    }
    if rules.layers:
        return [_layer(source, as_volume([group]), name) for name, group in groups.items()]
    distinct = len({one.value for one in segments}) == len(segments)
    if distinct and {one.layer for one in segments} == {0} and not rules.names:
        classes = Classes({group[0].value: name for name, group in groups.items()})
        return [LabelSource((source,), label.name, classes)]
    volume = as_volume(list(groups.values()))
    classes = Classes(dict(enumerate(groups, start=1)))
    return (
        [LabelSource((replace(source, volume=volume),), label.name, classes)] if groups else [label]
    )


def _layer(source: Source, volume: str, name: str) -> LabelSource:
    return LabelSource((replace(source, volume=volume),), folder_name(name), Classes({1: name}))


def _image_of(told: Structures, images: Sequence[Drawn]) -> Drawn | str:
    """The image that structures were drawn on, or why there is none."""
    kind = "contours" if told.contours else "segmentation"
    named = [image for image in images if image.series in told.images and image.series]
    same = [image for image in named if image.study == told.study] or named
    if len(same) == 1:
        return same[0]
    if same:
        return f"{kind} of {len(same)} series at once; list it in a manifest with its image"
    if told.images:
        return f"{kind} of series {told.images[0]}, which is not among the input"
    alone = [image for image in images if image.study == told.study and told.study]
    if len(alone) == 1:
        return alone[0]
    return (
        f"{kind} that names no series, in a study with {len(alone)} series; list it in a manifest"
    )


def _map_names(descriptions: Sequence[str]) -> list[str]:
    """``segmentation`` for the only file of a case; of several, what each is described as."""
    if len(descriptions) == 1:
        return [_NAME]
    return [folder_name(text) if text else _NAME for text in descriptions]


def _apart(labels: Sequence[LabelSource]) -> list[LabelSource]:
    """Label maps of which no two have one name."""
    seen: Counter[str] = Counter()
    found = []
    for label in labels:
        seen[label.name] += 1
        count = seen[label.name]
        found.append(label if count == 1 else replace(label, name=f"{label.name}_{count}"))
    return found


def _told_apart(names: Iterable[str]) -> list[str]:
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name.casefold()] += 1
        count = seen[name.casefold()]
        found.append(name if count == 1 else f"{name} {count}")
    return found
