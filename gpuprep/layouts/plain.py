"""A tree of image files, each a case, with ids from their relative paths.

Found automatically, files whose names or folders speak of labels are reported, not taken for images; asked
for by name, the layout takes every file. DICOM series beside the files are cases too.
"""

from __future__ import annotations

from gpuprep.case import Case, Source
from gpuprep.layouts.dicom import add_series
from gpuprep.layouts.filenames import split_path, split_suffix, stem_of
from gpuprep.layouts.found import Outcome
from gpuprep.layouts.group_cases import explain_lone_labels
from gpuprep.layouts.naming import looks_like_label, path_id
from gpuprep.layouts.tree import Tree


def find(tree: Tree) -> Outcome | None:
    """One case per image file, where there is any that does not speak of labels."""
    outcome = Outcome(
        [_case(tree, file) for file in tree.volumes if not looks_like_label(split_suffix(file)[0])]
    )
    if not outcome.cases:
        return None
    explain_lone_labels(outcome, tree)
    add_series(outcome, tree)
    return outcome


def find_every_file(tree: Tree) -> Outcome | None:
    """One case per volume file whatever its name, where there is any: for folders of label maps."""
    outcome = Outcome([_case(tree, file) for file in tree.volumes])
    if not outcome.cases:
        return None
    add_series(outcome, tree)
    return outcome


def _case(tree: Tree, file: str) -> Case:
    return Case(path_id(split_path(file)[0], stem_of(file)), (Source(tree.path(file)),))
