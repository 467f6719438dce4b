"""Two folders change places in one step, where the system can do it (Linux, ``renameat2``).

Python offers no call for it; without it, a path that must be replaced by rename is absent for a moment.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from pathlib import Path
from typing import Any

_RELATIVE_TO_CWD = -100  # AT_FDCWD
_RENAME_EXCHANGE = 2
_REFUSALS = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.ENOENT, errno.EPERM)


def exchange(one: Path, other: Path) -> bool:
    """Let two paths of one disk change places; False where the system cannot, or one of them is gone.

    Raises:
        OSError: the disk refuses for another reason.
    """
    rename = _renameat2()
    if rename is None:
        return False
    paths = (_RELATIVE_TO_CWD, os.fsencode(one), _RELATIVE_TO_CWD, os.fsencode(other))
    if rename(*paths, _RENAME_EXCHANGE) == 0:
        return True
    reason = ctypes.get_errno()
    if reason in _REFUSALS:
        return False
    raise OSError(reason, os.strerror(reason), str(other))


@cache
def _renameat2() -> Any:
    """The function of the C library, None where it has none."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        path, folder = ctypes.c_char_p, ctypes.c_int
        call.argtypes = (folder, path, folder, path, ctypes.c_uint)
    return call
