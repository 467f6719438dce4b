"""Files that exist whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpuprep.values.errors import UsageError


@contextmanager
def whole_file(file: Path) -> Iterator[Path]:
    """A name to write to, beside the file, which then appears whole or not at all.

    Raises:
        UsageError: it cannot be written there.
    """
    partial = file.with_name(f".{os.getpid()}-{file.name}")
    try:
        yield partial
        partial.replace(file)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot write {file}: {reason}") from error
    finally:
        partial.unlink(missing_ok=True)
