"""The cases of a cohort on a server that lists no folders, by the cohort's own list."""

from __future__ import annotations

import warnings

from gpuprep.store.files import CaseVersion
from gpuprep.store.index import read_index
from gpuprep.store.layout import MANIFEST_FILE
from gpuprep.store.places import Place
from gpuprep.values.errors import CohortWarning, StoreError


def versions_by_list(root: Place) -> dict[str, CaseVersion]:
    """Which record the list says each case has, by id.

    The version of a record that has only its size and time on the list is these two, and the etag of one
    from an object store.

    Warns:
        CohortWarning: the list is all there is to go by.

    Raises:
        StoreError: there is no list.
    """
    index = read_index(root)
    if not index.ids:
        raise StoreError(
            f"{root}: the server lists no cases, and the cohort has no list of its own",
            advice=f"run 'gpuprep index' where the cohort lies; it writes {MANIFEST_FILE}",
        )
    warnings.warn(
        CohortWarning(f"{root}: the server lists no cases; those of {MANIFEST_FILE} are taken"),
        stacklevel=2,
    )
    rows = ((case_id, index.row(case_id) or {}) for case_id in index.ids)
    return {case_id: _version(str(row.get("record", ""))) for case_id, row in rows}


def _version(told: str) -> CaseVersion:
    size, dash, time = told.partition("-")
    return (told,) if told and not (dash and size.isdigit() and time.isdigit()) else (size, time)
