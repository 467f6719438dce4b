"""Small pictures of a sample of a cohort's cases, as a document has them in itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from PIL import Image

from gpuprep.quality.cohort_quality import CohortQuality
from gpuprep.store.reader import Cohort
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.errors import GpuprepError, NotArrays
from gpuprep.viewing.thumbnail import thumbnail_png

MOST = 240
"""Pictures in a report, unless it is asked for another number."""
_HEIGHT = 128  # pixels
_MOST_BYTES = 4_500_000  # of all of them, as text
_JPEG_QUALITY = 75
_AT_ONCE = 4  # cases; an object store answers late
_BATCH = 16


@dataclass(frozen=True, slots=True)
class Pictures:
    """By id of the case ``data:`` URLs, and the ids of those whose voxels could not be read."""

    urls: Mapping[str, str]
    damaged: tuple[str, ...] = ()


def sample(quality: CohortQuality, most: int) -> list[str]:
    """Up to so many ids: outliers first, at most half where there are others, then cases evenly spaced."""
    ids = quality.ids
    if len(ids) <= most:
        strange = [ids[row] for row in quality.outliers_by_row]
    else:
        strange = [ids[row] for row in quality.outliers_by_row][: (most + 1) // 2]
    left = max(0, min(most, len(ids)) - len(strange))
    known = set(strange)
    others = [case_id for case_id in ids if case_id not in known]
    spaced = [others[k * len(others) // left] for k in range(left)] if left else []
    return [*strange, *spaced][:most]


def take_pictures(cohort: Cohort, ids: Sequence[str]) -> Pictures:
    """Pictures of these cases, as many as fit into some megabytes."""
    urls: dict[str, str] = {}
    damaged = []
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="gpuprep-pictures") as pool:
        for first in range(0, len(ids), _BATCH):
            batch = ids[first : first + _BATCH]
            for case_id, url in zip(batch, pool.map(partial(_try, cohort), batch), strict=True):
                if url:
                    urls[case_id] = url
                elif url is not None:
                    damaged.append(case_id)
            if sum(map(len, urls.values())) > _MOST_BYTES:
                break
    return Pictures(urls, tuple(damaged))


def _try(cohort: Cohort, case_id: str) -> str | None:
    """A picture; empty where the case cannot be read, None where it is nnU-Net's files and no arrays."""
    try:
        with closing(cohort[case_id]) as case:
            return _url(case)
    except NotArrays:
        return None
    except (GpuprepError, KeyError, OSError, ValueError):
        return ""


def _url(case: StoredCase) -> str:
    drawn = Image.open(io.BytesIO(thumbnail_png(case, height=_HEIGHT))).convert("RGB")
    stream = io.BytesIO()
    drawn.save(stream, "JPEG", quality=_JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
