"""Folders that are one image or one label map: the slices of a DICOM series, or a stack of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gpuprep.cohort.layouts.dicom import read_series
from gpuprep.cohort.layouts.naming import join, split_path
from gpuprep.cohort.layouts.pictures import is_picture
from gpuprep.cohort.layouts.tree import Tree
from gpuprep.values.case import Source


def slice_folders(tree: Tree) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each folder with files that are no volumes, and these files, in their order."""
    folders: dict[str, list[str]] = {}
    volumes = frozenset(tree.volumes)
    for file in tree.files:
        if file not in volumes:
            folder, name = split_path(file)
            folders.setdefault(folder, []).append(name)
    for folder, names in folders.items():
        yield folder, tuple(join(folder, name) for name in names)


def source_of(
    tree: Tree, folder: str, files: tuple[str, ...], name: str
) -> tuple[Source | None, dict[str, str]]:
    """The one source that the files of a folder are, or None, and why files are in none."""
    if files and all(map(is_picture, files)):
        return Source(tree.path(folder), tuple(map(tree.path, files)), name), {}
    below = replace(tree, files=files, volumes_only=False, several_volumes="refuse")
    series, rest = read_series(below)
    if len(series) == 1:
        return replace(series[0].case.images[0], name=name), dict(rest)
    told = (
        f"folder that holds {len(series)} DICOM series where one is looked for; list the case in a "
        "manifest"
    )
    return None, dict.fromkeys(files, told)
