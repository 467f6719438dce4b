"""What a client may ask of ``/v1/process`` beside its volume, and how the API's description says so."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from gpuprep.service.problems import Problem, told
from gpuprep.service.volumes.answers import KINDS, MEDIA, Wanted

_ACCEPTED = {
    "application/zip": "zarr",
    "application/x-npy": "npy",
    "application/x-nifti": "nifti",
    "application/*": "zarr",
    "*/*": "zarr",
}


def wanted(request: Request, answer: str, patch: str, overlap: float) -> Wanted:
    """The answer that a request asks for. Raises Problem 422, or 406 where Accept has none there is."""
    kind = answer or _accepted(request.headers.get("accept", ""))
    if kind not in KINDS:
        asked = f"answer={kind[:50]}" if answer else f"Accept: {request.headers['accept'][:200]}"
        status, known = (422 if answer else 406), ", ".join(KINDS)
        raise Problem(status, f"there is no {asked}", code="E_REQUEST", advice=f"choose of {known}")
    if not 0 <= overlap < 1:
        raise Problem(
            422, f"overlap={overlap:g} is no fraction", code="E_REQUEST", advice="0 ≤ overlap < 1"
        )
    if not patch:
        return Wanted(kind)  # type: ignore[arg-type]
    lengths = patch.split(",")
    if (
        kind != "npy"
        or len(lengths) != 3
        or not all(
            each.isascii() and each.isdigit() and len(each) < 6 and int(each) for each in lengths
        )
    ):
        raise Problem(
            422,
            f"patch={patch[:50]} with answer={kind}",
            code="E_REQUEST",
            advice="give three lengths of at most 99999 voxels (z, y, x), with answer=npy",
        )
    z, y, x = map(int, lengths)
    return Wanted("npy", (z, y, x), overlap)


def _accepted(header: str) -> str:
    """The first answer that the client accepts; the order of a header counts, its weights do not."""
    kinds = [part.partition(";")[0].strip().lower() for part in header.split(",")]
    found = (_ACCEPTED[kind] for kind in kinds if kind in _ACCEPTED)
    return next(found, "" if header else "zarr")


_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer, with its stages in Server-Timing and findings in Gpuprep-Findings",
        "content": dict.fromkeys(MEDIA.values(), _BINARY),
    },
    **told(401, 403, 406, 408, 413, 415, 422, 500, 503),
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/octet-stream": _BINARY,
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["root", "path"],
                    "additionalProperties": False,
                    "properties": {"root": {"type": "string"}, "path": {"type": "string"}},
                },
                "example": {"root": "data", "path": "incoming/scan.nii.gz"},
            },
        },
    }
}
