"""Whether the list of a cohort on an object store needs no look at each case.

A listing tells of a thousand objects with each request, and a case has nine or more. A run that has compared
the list with all objects of all cases leaves a seal of it; each run takes the seal away before it changes a
case. Under the seal the list says which record a case has, and the store is asked only which cases there are.

The seal holds the etag of the list. Where a copy of a cohort gets other etags, its list has another one, too.
It also tells a run the small documents beside the list, so that one listing shows whether they still are so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from gpuprep.store.files import CaseVersion, json_line
from gpuprep.store.index import CaseIndex
from gpuprep.store.layout import LIST_SEAL_FILE, case_path
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.places import Place, case_ids
from gpuprep.store.sighting import Sight, sight_of

_LISTED = 1000  # objects that a store tells of with one request
_WORTH = 2  # times the requests of a listing of cases: so many a look at their objects may take


@dataclass(frozen=True, slots=True)
class Seal:
    """What was true of a list when it was compared with all cases.

    Attributes:
        manifest: The etag of ``manifest.jsonl``.
        index: That of ``index.npz``, if it stands for the whole list; empty otherwise, and in older seals.
        cases: How many the columns have.
        objects: How many objects these have.
        documents: Etag and text of small documents beside the list, by name.
        place: The URL of the cohort: a copy, which may be a part, can have the same etags.
    """

    manifest: str
    index: str = ""
    cases: int = 0
    objects: int = 0
    documents: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    place: str = ""

    @classmethod
    def of(cls, content: bytes | None) -> Seal | None:
        """What a seal says; None where it is none."""
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            told = json.loads(content or b"")
            rows = told.get("documents", {}).items()
            return cls(
                str(told["manifest"]),
                str(told.get("index", "")),
                int(told.get("cases", 0)),
                int(told.get("objects", 0)),
                {name: (str(etag), str(text)) for name, (etag, text) in rows},
                str(told.get("place", "")),
            )
        return None

    def to_bytes(self) -> bytes:
        documents = {name: list(told) for name, told in self.documents.items()}
        told = {
            "cases": self.cases,
            "objects": self.objects,
            "documents": documents,
            "place": self.place,
        }
        return json_line({"manifest": self.manifest, "index": self.index, **told})

    def saves(self, asked: int) -> bool:
        """Whether to take the list's word is worth it for so many cases: a look takes many more requests."""
        look = min(asked, self.objects // _LISTED + 1)
        return look > _WORTH * (self.cases // _LISTED + 1)


def agrees(index: CaseIndex, sights: Mapping[str, Sight]) -> bool:
    """Whether each case has the record that its line is of, and all its files in their sizes.

    Cases may lack a line, and lines a case if nothing at all is left of it.
    """
    told = index.columns
    return all(
        sights[case_id] == sight_of(*(told[name][place] for name in ("record", "files", "sizes")))
        for case_id, place in index.places.items()
        if case_id in sights
    )


def sealed_versions(root: Place, index: CaseIndex) -> dict[str, CaseVersion] | None:
    """Which record each finished case has, by a sealed list; None where the cases must be looked at.

    A case without a line is asked for its record.

    Raises:
        StoreError: the store refuses.
    """
    if not isinstance(root, ObjectPath) or not index.places:
        return None
    seal = Seal.of((root / LIST_SEAL_FILE).content())
    if seal is None or seal.manifest != index.etag:
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
