"""Standard streams that are not UTF-8, and a Python that takes file names for something else.

An old cluster's ``LC_ALL``, or ``PYTHONIOENCODING``, may leave a stream without our arrows or a case's
letters. What it lacks is replaced here, once, and nothing that prints need know.
"""

from __future__ import annotations

import codecs
import io
import os
import sys

_ERRORS = "gpuprep.ascii"
# fmt: off
_PLAIN = {
    "→": "->", "…": "...", "×": "x", "°": "deg", "·": "*", "±": "+/-", "−": "-", "–": "-", "—": "-",
    "≤": "<=", "≥": ">=", "≈": "~", "½": "1/2", "²": "^2", "³": "^3", "µ": "u", "∞": "inf", "•": "*",
    "─": "-", "━": "=", "│": "|", "├": "+", "└": "+", "“": '"', "”": '"', "‘": "'", "’": "'",
}
# fmt: on


def open_streams() -> None:
    """Have standard output and error take every character: what they lack is written in ASCII."""
    codecs.register_error(_ERRORS, _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Our signs by their look, letters of names as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    plain = (_PLAIN.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in text)
    return "".join(plain), error.end


def is_utf8(encoding: str | None) -> bool:
    """Whether an encoding holds every character."""
    return codecs.lookup(encoding or "ascii").name == "utf-8"


def ensure_utf8_names() -> None:
    """Start this command once more, in Python's UTF-8 mode, where file names were read as something else.

    Names on disk are UTF-8 whatever a terminal shows: read as Latin-1, a case would get another id.
    """
    if is_utf8(sys.getfilesystemencoding()) or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ["PYTHONUTF8"] = "1"  # for the workers, too
    os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)  # what the terminal shows
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
