"""What discovery says: the cases it found, and why every other file is in none of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuprep.values.case import Case


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A file that belongs to no case; ``reason`` is one sentence a user can act on."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """The cohort under a root: ``cases`` in natural order of their ids, ``unmatched`` in order of path.

    All files of the cases lie in ``root``; it is empty where links and manifests may lead anywhere.
    """

    layout: str
    cases: tuple[Case, ...]
    unmatched: tuple[Unmatched, ...] = ()
    root: str = ""


@dataclass(slots=True)
class Outcome:
    """What one layout makes of a tree, before the files left over are accounted for.

    ``reasons`` says of files (relative to the root) why they are in no case. ``own`` names the files the
    layout itself consists of (``dataset.json``, sidecars): they are neither cases nor unmatched.
    """

    cases: list[Case] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
