"""A cohort of many cases on an object store, each a copy of one that a run made, and their input."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import urlsplit

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from gpuprep.ledger.index import Listed, list_case, write_index
from gpuprep.store.layout import (
    INDEX_FILE,
    LIST_SEAL_FILE,
    MANIFEST_FILE,
    RECORD_FILE,
    case_path,
)
from gpuprep.store.list_seal import Seal
from gpuprep.store.listing import Holding
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.record import read_record, write_record
from support.cohorts import run, write_pair


def store_many(work: Path, url: str, count: int) -> Path:
    """Store ``volume-0`` to ``volume-<count - 1>`` at a URL; returns the input that they come from.

    One case is made by a run. The objects of all others, and the list of all, are put into the service,
    which is in this process, without a request each.
    """
    source = work / "many"
    source.mkdir()
    write_pair(source, 0)
    assert run(source, url).exit_code == 0
    first = ObjectPath(url) / case_path("volume-0")
    objects = {name: (first / name).read_bytes() for name, _ in first.files()}
    text = json.dumps(read_record(first))
    for number in range(count):
        record = json.loads(
            text.replace("volume-0", f"volume-{number}").replace("n-0", f"n-{number}")
        )
        if number:
            for kind in ("volume", "segmentation"):
                os.link(source / f"{kind}-0.nii.gz", source / f"{kind}-{number}.nii.gz")
            write_record(work, record, durable=False)
            objects[RECORD_FILE] = (work / RECORD_FILE).read_bytes()
        place = f"{url}/{case_path(record['case'])}"
        etags = {name: _put(f"{place}/{name}", content) for name, content in objects.items()}
        held = Holding.of_record(record, (etags[RECORD_FILE],))
        list_case(work, record["case"], Listed(record["digest"], held=held))
    write_index(work)
    etag = _put(f"{url}/{MANIFEST_FILE}", (work / MANIFEST_FILE).read_bytes())
    _put(f"{url}/{INDEX_FILE}", (work / INDEX_FILE).read_bytes())
    _put(f"{url}/{LIST_SEAL_FILE}", Seal(etag).to_bytes())
    return source


def _put(url: str, content: bytes) -> str:
    """Put an object into the service; returns its etag."""
    parts = urlsplit(url)
    service = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    return str(service.put_object(parts.netloc, parts.path[1:], content).etag)
