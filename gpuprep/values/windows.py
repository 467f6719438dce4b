"""Windows under which tissues of a CT are looked at, by name: level and width in HU.

Level is the middle of the window and width its extent: black is ``level - width / 2``, white
``level + width / 2``. No standard fixes them. These are the usual ones of teaching sites and consoles, as
in "Windowing (CT)", Radiopaedia (https://radiopaedia.org/articles/windowing-ct): lung W:1500 L:-600,
mediastinum W:350 L:50, soft tissues W:350-400 L:20-60, brain W:80 L:40, stroke W:40 L:40. That page has
bone W:1800 L:400 and liver W:150 L:30, for scans without contrast; here both are a little wider and
higher (bone W:2000 L:500, liver W:160 L:60), as consoles offer them and for the portal phase, which most
cohorts with liver labels show.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Window:
    """A range of intensities in HU that is spread from black to white."""

    name: str
    level: float
    width: float

    @property
    def ends(self) -> tuple[float, float]:
        """What becomes black and what white.

        >>> WINDOWS["lung"].ends
        (-1350.0, 150.0)
        """
        return self.level - self.width / 2, self.level + self.width / 2


WINDOWS: dict[str, Window] = {
    window.name: window
    for window in (
        Window("lung", -600.0, 1500.0),
        Window("mediastinum", 50.0, 350.0),
        Window("soft tissue", 40.0, 400.0),
        Window("liver", 60.0, 160.0),
        Window("bone", 500.0, 2000.0),
        Window("brain", 40.0, 80.0),
        Window("stroke", 40.0, 40.0),
    )
}
"""By name, in the order in which they are offered."""

Preset = Literal[
    "lung", "mediastinum", "abdomen", "soft tissue", "liver", "bone", "brain", "stroke"
]
PRESETS: dict[str, Window] = {"abdomen": WINDOWS["soft tissue"], **WINDOWS}
"""Those that a config may name: those offered, and ``abdomen``, as most call that of soft tissue."""
