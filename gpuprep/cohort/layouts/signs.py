"""What the names of very many files might tell, by one look at all of them instead of one at each.

A layout that asks a hundred thousand names one by one, only to find that none is of its kind, takes longer
than listing them does. A sign may be there for nothing; one that is not there is not there for any name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property

from gpuprep.cohort.layouts.naming import LABEL_TRACES, PAIRING_WORDS, SEPARATORS

_PAIRING = re.compile(
    rf"[\n{re.escape(SEPARATORS)}](?:{'|'.join(map(re.escape, sorted(PAIRING_WORDS)))})\n"
)


class Signs:
    """Signs in stems (names of files without their suffix), of all of a tree together."""

    def __init__(self, stems: Iterable[str]) -> None:
        text = "\n".join(("", *stems, ""))
        # Other scripts have letters that are the same as ASCII ones in another case: each name is asked then.
        self._text = text.lower() if text.isascii() else None

    @cached_property
    def labels(self) -> bool:
        """Whether some stem may speak of labels, as ``looks_like_label`` says of one."""
        return self._text is None or any(trace in self._text for trace in LABEL_TRACES)

    @cached_property
    def pairing(self) -> bool:
        """Whether some stem may end in the word of a label or of an MR sequence, as ``role_of`` says."""
        return self._text is None or _PAIRING.search(self._text) is not None
