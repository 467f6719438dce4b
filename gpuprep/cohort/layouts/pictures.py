"""Pictures that a manifest names: stacks in folders, and the spacing that no picture has itself."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gpuprep.cohort.layouts.naming import split_suffix
from gpuprep.cohort.layouts.tree import Tree
from gpuprep.values.case import PICTURE_SUFFIXES, Case, Source
from gpuprep.values.errors import UsageError

_BETWEEN = re.compile(r"[\s,;x×]+")


def is_picture(file: str) -> bool:
    """Whether a file is PNG or TIFF by its name."""
    return split_suffix(file)[1] in PICTURE_SUFFIXES


def stack_in(tree: Tree) -> Source | None:
    """The pictures of a folder as one stack, in natural order; None where other files are there too."""
    files = [file for file in tree.files if is_picture(file)]
    if not files or len(files) < len(tree.files) or any("/" in file for file in files):
        return None
    return Source(str(tree.root), tuple(map(tree.path, files)))


def with_spacing(case: Case, told: Any) -> Case:
    """The case with that spacing for its pictures; a case without pictures stays as it is.

    Raises:
        UsageError: it has pictures, and this is no spacing.
    """
    sources = (*case.images, *(each for label in case.labels for each in label.sources))
    pictures = [each for each in sources if is_picture((each.files or (each.path,))[0])]
    if told in (None, "") or not pictures:
        return case
    spacing = _spacing(told)
    labels = (
        replace(label, sources=_spaced(label.sources, pictures, spacing)) for label in case.labels
    )
    return replace(case, images=_spaced(case.images, pictures, spacing), labels=tuple(labels))


def _spaced(
    sources: Sequence[Source], pictures: Sequence[Source], spacing: tuple[float, ...]
) -> tuple[Source, ...]:
    return tuple(replace(each, spacing=spacing) if each in pictures else each for each in sources)


def _spacing(told: Any) -> tuple[float, ...]:
    words = told if isinstance(told, list) else _BETWEEN.split(str(told).strip())
    try:
        spacing = tuple(float(word) for word in words)
    except (TypeError, ValueError):
        spacing = ()
    if len(spacing) not in (2, 3) or not all(math.isfinite(step) and step > 0 for step in spacing):
        raise UsageError(f"spacing {told!r} is not two or three lengths in mm, such as '0.5 0.5 2'")
    return spacing
