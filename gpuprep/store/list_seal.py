"""Whether the list of a cohort on an object store needs no look at each case.

A listing tells of a thousand objects with each request, and a case has nine or more. A run that has compared
the list with all cases leaves a seal of it; each run takes the seal away before it changes a case. Under the
seal the list says which record a case has, and the store is asked only which cases there are.

The seal holds the etag of the list. Where a copy of a cohort gets other etags, its list has another one, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from gpuprep.store.facts import version_text
from gpuprep.store.files import CaseVersion, json_line
from gpuprep.store.index import CaseIndex
from gpuprep.store.layout import LIST_SEAL_FILE, case_path
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.places import Place, case_ids

_LISTED = 1000  # objects that a store tells of with one request


def seal_of(etag: str) -> bytes:
    """The seal of a list of that etag."""
    return json_line({"manifest": etag})


def agrees(index: CaseIndex, versions: Mapping[str, CaseVersion]) -> bool:
    """Whether no line is of another record than its case has; cases may lack a line, and lines a case."""
    records = index.texts("record").each().tolist()
    return all(
        records[place] == version_text(versions[case_id])
        for case_id, place in index.places.items()
        if case_id in versions
    )


def sealed_versions(root: Place, index: CaseIndex) -> dict[str, CaseVersion] | None:
    """Which record each finished case has, by a sealed list; None where the cases must be looked at.

    A case without a line is asked for its record.

    Raises:
        StoreError: the store refuses.
    """
    if not isinstance(root, ObjectPath) or not index.places:
        return None
    if (root / LIST_SEAL_FILE).content() != seal_of(index.etag):
        return None
    there = case_ids(root)
    unlisted = there - index.places.keys()
    if len(unlisted) * _LISTED > index.files:
        return None
    records = index.texts("record").each().tolist()
    found: dict[str, CaseVersion] = {
        case_id: (records[place],) for case_id, place in index.places.items() if case_id in there
    }
    for case_id in unlisted:
        if version := (root / case_path(case_id)).version():
            found[case_id] = version
    return found
