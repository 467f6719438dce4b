"""Where a cohort or a case lies: a folder, or a prefix of an object store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gpuprep.store.files import CaseVersion
from gpuprep.store.layout import CASE_SUFFIX, CASES_FOLDER
from gpuprep.store.local import LocalPath
from gpuprep.store.objects.http import http_path
from gpuprep.store.objects.path import ObjectPath
from gpuprep.values.errors import UsageError

Place = LocalPath | ObjectPath

_HTTP = re.compile("https?://", re.IGNORECASE)


def is_url(text: str | Path | ObjectPath) -> bool:
    """Whether a text names an object store and no file."""
    return "://" in str(text)


def to_place(text: str | Path | ObjectPath, token: str | None = None) -> Place:
    """A path made absolute, or the URL of a store checked.

    Args:
        text: A path or a URL.
        token: For ``http://`` and ``https://``; by default that of the environment (GPUPREP_TOKEN).

    Raises:
        UsageError: the URL has no bucket, or holds a user, password or query; or a token is given for
            what needs none.
    """
    if not isinstance(text, ObjectPath) and _HTTP.match(str(text)):
        return http_path(str(text), token)
    if token is not None:
        raise UsageError(f"{text}: a token is for http:// and https:// URLs")
    if isinstance(text, ObjectPath):
        return text
    if not is_url(text):
        return LocalPath(text).absolute()  # a later chdir must not lose it
    url = str(text).rstrip("/")
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            f"{parts.scheme}://...: a URL of a store must not hold a user, a password or a query",
            advice="give credentials in the environment (AWS_ACCESS_KEY_ID, ...) or a role",
        )
    if not re.fullmatch(r"[a-z0-9]+", parts.scheme) or not parts.netloc or len(parts.path) < 2:
        raise UsageError(f"{url}: a bucket and a prefix are needed, as in s3://bucket/cohort")
    return ObjectPath(url)


def case_ids(root: Place, *, finished: bool = False) -> set[str]:
    """The ids of all folders of cases in a cohort, or of those only that hold a record."""
    if finished:
        return set(case_versions(root))
    names = {name for name in (root / CASES_FOLDER).folders() if name[0] != "."}
    return {name.removesuffix(CASE_SUFFIX) for name in names if name.endswith(CASE_SUFFIX)}


def case_versions(root: Place) -> dict[str, CaseVersion]:
    """Which record each finished case of a cohort has, by id, looked up for all in one go."""
    return (root / CASES_FOLDER).versions()


def holds_cases(root: Place) -> bool:
    """Whether a cohort has any finished case; looks no further than to the first."""
    with suppress(FileNotFoundError):
        return next((root / CASES_FOLDER).each_version(), None) is not None
    return False


def read_lines(path: str | Path | ObjectPath) -> Iterator[dict[str, Any]]:
    """The rows of a JSON-lines file; lines torn by a crash are passed over, an absent file is empty.

    Raises:
        StoreError: the disk or the store does not give the file.
    """
    return parse_lines(to_place(path).lines())


def parse_lines(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The rows of JSON lines; torn ones are passed over."""
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and isinstance(row.get("case", ""), str):
            yield row
