"""The shell of the pages and their files. Whoever may see nothing sees that a link is needed."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from gpuprep.service.problems import Problem, told

FOLDER = Path(__file__).parent
PAGES = (
    "/",
    "/cohorts/{name}",
    "/cohorts/{name}/cases/{case}",
    "/jobs",
    "/jobs/{job_id}",
    "/machine",
)
"""Where the shell lies; its script sees by the path which page it is to draw."""
TYPES = {
    ".css": "text/css",
    ".js": "text/javascript",
    ".txt": "text/plain",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
router = APIRouter(include_in_schema=False)


async def shell(request: Request) -> Response:
    """The page at a path, which a script of ours fills."""
    headers = {"content-security-policy": POLICY}
    return _answer(request, FOLDER / "index.html", "text/html", headers)


for _path in PAGES:
    router.add_api_route(_path, shell, name=f"page {_path}")


@router.get("/pages/{path:path}", responses=told(404))
async def file(request: Request, path: str) -> Response:
    """A script, a style or a licence."""
    found = _files().get(path)
    if found is None:
        raise Problem(404, "there is no such file", code="E_PAGE")
    return _answer(request, found, TYPES[found.suffix])


@cache
def _files() -> dict[str, Path]:
    """What may be asked for, by its path: nothing else is looked up on the disk."""
    found = (path for path in FOLDER.rglob("*") if path.suffix in TYPES)
    return {path.relative_to(FOLDER).as_posix(): path for path in found}


def _answer(
    request: Request, path: Path, media_type: str, headers: dict[str, str] | None = None
) -> Response:
    content, etag = _content(path)
    kept = {
        "etag": etag,
        "cache-control": "no-cache",
        **(headers or {}),
    }  # asked for anew, 304 if the same
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=kept)
    return Response(content, media_type=media_type, headers=kept)


@cache
def _content(path: Path) -> tuple[bytes, str]:
    """A file and its etag, read once: an installed package does not change under a service."""
    content = path.read_bytes()
    return content, f'"{hashlib.sha256(content).hexdigest()[:32]}"'
