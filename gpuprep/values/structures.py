"""What is made of files that hold several structures by name: which are taken, as what, in how many maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class StructureRules:
    """Which structures of a file become labels.

    Attributes:
        names: What structures become by patterns of their own names (``gtv*``), in any case; the first that
            fits counts, and what fits none is left out. Empty for all, as they are called.
        layers: Whether each is a label map of its own.
        series: The pattern of descriptions or folders of DICOM series that are masks; empty for none.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    layers: bool = False
    series: str = ""

    def groups(self, names: Iterable[str]) -> dict[str, list[int]]:
        """The places in ``names`` of each structure that is taken, by what it becomes.

        >>> StructureRules({"gtv*": "tumour"}).groups(["Body", "GTV 1", "GTV 2"])
        {'tumour': [1, 2]}
        """
        found: dict[str, list[int]] = {}
        for place, name in enumerate(names):
            becomes = self._becomes(name) if self.names else name
            if becomes:
                found.setdefault(becomes, []).append(place)
        return found

    def is_mask(self, *texts: str) -> bool:
        """Whether a description or a folder is that of a mask."""
        pattern = self.series.casefold()
        return bool(pattern) and any(fnmatchcase(text.casefold(), pattern) for text in texts)

    def _becomes(self, name: str) -> str:
        own = name.casefold()
        wanted = (
            new for pattern, new in self.names.items() if fnmatchcase(own, pattern.casefold())
        )
        return next(wanted, "")
