"""The source files that a record names, as one sum."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any


def sum_of_files(sources: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 over what each file is to its case, its size and its SHA-256; paths and times do not count.

    Args:
        sources: Rows as the record of a case has them under ``source``.
    """
    lines = sorted(f"{row.get('role', '')}\0{row['size']}\0{row['sha256']}" for row in sources)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "backslashreplace")).hexdigest()
