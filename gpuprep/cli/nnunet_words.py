"""nnU-Net's way of writing options: several values behind one flag, as ``-c 2d 3d_fullres``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from typer.core import TyperGroup

_COMMANDS = ("fingerprint", "plan", "preprocess", "plan-and-preprocess")
_SEVERAL = ("-d", "-c", "-np", "-npfp")


class NnunetGroup(TyperGroup):
    """Commands whose options of several values may be written as nnU-Net has them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(repeated(args)))


def repeated(words: Sequence[str]) -> Iterator[str]:
    """The words with the flag before each of its values, in commands that take no other words.

    >>> list(repeated(["preprocess", "-d", "4", "5", "-c", "2d", "--json"]))
    ['preprocess', '-d', '4', '-d', '5', '-c', '2d', '--json']
    """
    flag, taken = "", 0
    named = next((word for word in words if not word.startswith("-")), "")
    if named not in _COMMANDS:
        yield from words
        return
    for word in words:
        if word.startswith("-"):
            flag, taken = (word if word in _SEVERAL else ""), 0
            yield word
            continue
        if flag and taken:
            yield flag
        taken += 1
        yield word
