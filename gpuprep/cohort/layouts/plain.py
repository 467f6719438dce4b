"""A tree of image files, each a case, with ids from their relative paths.

Found automatically, files whose names or folders speak of labels are reported, not taken for images; asked
for by name, the layout takes every file. DICOM series beside the files are cases too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gpuprep.cohort.layouts.dicom import add_series
from gpuprep.cohort.layouts.group_cases import explain_lone_labels
from gpuprep.cohort.layouts.naming import (
    looks_like_label,
    path_id,
    split_path,
    split_suffix,
)
from gpuprep.cohort.layouts.tree import Outcome, Tree
from gpuprep.values.case import Case


def find(tree: Tree) -> Outcome | None:
    """One case per image file, where there is any that does not speak of labels."""
    images: Sequence[str] = tree.volumes
    if tree.signs.labels or any(map(looks_like_label, tree.folders)):
        images = [file for file in images if not looks_like_label(split_suffix(file)[0])]
    if not images:
        return None
    outcome = Outcome(_cases(tree, images))
    if tree.signs.pairing:  # else no name is a label's
        explain_lone_labels(outcome, tree)
    add_series(outcome, tree)
    return outcome


def find_every_file(tree: Tree) -> Outcome | None:
    """One case per volume file whatever its name, where there is any: for folders of label maps."""
    if not tree.volumes:
        return None
    outcome = Outcome(_cases(tree, tree.volumes))
    add_series(outcome, tree)
    return outcome


def _cases(tree: Tree, files: Sequence[str]) -> list[Case]:
    """A case per file; where two files would share an id (``a.mha``, ``a.nrrd``) it keeps the suffix."""
    ids = [path_id(folder, split_suffix(name)[0]) for folder, name in map(split_path, files)]
    shared = {name for name, count in Counter(ids).items() if count > 1}
    return [
        Case(path_id(*split_path(file)) if name in shared else name, (tree.source(file),))
        for file, name in zip(files, ids, strict=True)
    ]
