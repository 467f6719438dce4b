"""NIfTI files with a fourth axis where each of their volumes, or the first, is to be a case of its own."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from gpuprep.cohort.layouts.naming import folder_name
from gpuprep.cohort.layouts.tree import SeveralVolumes
from gpuprep.values.case import Case, Source

_ENDINGS = (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz")


def of_volumes(cases: Iterable[Case], several: SeveralVolumes) -> list[Case]:
    """The cases, those of one NIfTI file taken apart: ``a`` with two volumes as ``a_t0`` and ``a_t1``.

    Cases with several images, or with names for the volumes, stay as they are: these are channels. So do
    with ``cases`` those with a label, which is one for all. Headers are read, and nothing else.
    """
    if several not in ("cases", "first"):
        return list(cases)
    return [each for case in cases for each in _taken_apart(case, several)]


def _taken_apart(case: Case, several: SeveralVolumes) -> list[Case]:
    image = case.images[0]
    fourth = several == "first" or not case.labels
    alone = len(case.images) == 1 and not (image.files or image.name or case.channels)
    if not (alone and fourth and image.path.lower().endswith(_ENDINGS)):
        return [case]
    number = _volumes_in(image)
    if number < 2:
        return [case]
    if several == "first":
        return [_of_one(case, "t0", case.id)]
    return [_of_one(case, f"t{n}", folder_name(f"{case.id}_t{n}")) for n in range(number)]


def _of_one(case: Case, volume: str, identifier: str) -> Case:
    image = replace(case.images[0], volume=volume)
    attributes = {"volume": volume, **case.attributes}  # a manifest may call something else so
    return replace(case, id=identifier, images=(image,), attributes=attributes)


def _volumes_in(image: Source) -> int:
    """How many volumes a header tells; 1 where it cannot be read, which reading it will say."""
    from gpuprep.io.reader import peek
    from gpuprep.io.rules import ReadRules

    with suppress(Exception):
        return peek(image, ReadRules(headers_alone=True)).channels
    return 1
