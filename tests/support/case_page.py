"""The page of a case as a reader sees it, and what should be on it, computed by nibabel from the files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np

from support.chromium import Page

PLANES = ("axial", "coronal", "sagittal")
ACROSS = {"axial": 0, "coronal": 0, "sagittal": 1}  # axes of an array whose axes run to R, A and S
UP = {"axial": 1, "coronal": 2, "sagittal": 2}
THROUGH = {"axial": 2, "coronal": 1, "sagittal": 0}
LETTERS = {
    "axial": {"left": "R", "right": "L", "top": "A", "bottom": "P"},
    "coronal": {"left": "R", "right": "L", "top": "S", "bottom": "I"},
    "sagittal": {"left": "A", "right": "P", "top": "S", "bottom": "I"},
}
"""Radiological: the patient's right on the left of the screen, the nose to the left."""
TWO_FRAMES = (
    "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
)
UNCOVERED = ".plane .lines, .plane .letter { visibility: hidden !important; }"


@dataclass(frozen=True)
class Upright:
    """A volume with its axes along R, A and S, most nearly; and the file's own axes."""

    image: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "turned", nibabel.as_closest_canonical(self.image))
        object.__setattr__(self, "voxels", np.asarray(self.turned.dataobj))  # type: ignore[attr-defined]
        object.__setattr__(self, "data", np.asarray(self.image.dataobj))

    turned: Any = None
    voxels: Any = None
    data: Any = None

    @property
    def affine(self) -> np.ndarray:
        return np.asarray(self.image.affine)

    def own(self, index: Any) -> tuple[int, ...]:
        """The index in the file of an upright one, through millimetres."""
        point = self.turned.affine @ [*index, 1]
        return tuple(int(v) for v in np.rint(np.linalg.solve(self.affine, point)[:3]))

    def nearest(self, mm: Any) -> tuple[int, ...] | None:
        """The index in the file of a point, None outside, and where rounding may go both ways."""
        exact = np.linalg.solve(self.affine, [*mm, 1])[:3]
        index = np.rint(exact)
        if (index < 0).any() or (index >= self.data.shape).any():
            return None
        return tuple(int(v) for v in index)

    def upright(self, own: Any) -> list[int]:
        """The upright index of one in the file."""
        point = self.affine @ [*own, 1]
        return [int(v) for v in np.rint(np.linalg.solve(self.turned.affine, point)[:3])]

    def plane(self, name: str, at: Any, *, radiological: bool = True) -> np.ndarray:
        """The voxels of the plane through an upright index, as rows on the screen."""
        flat = np.take(self.voxels, at[THROUGH[name]], THROUGH[name])
        rows = flat.T[::-1]  # up is A or S
        return rows if name != "sagittal" and not radiological else rows[:, ::-1]

    def pick(self, name: str, at: Any, row: int, column: int) -> list[int]:
        """The upright index of a cell of that plane (radiological)."""
        index = list(at)
        index[ACROSS[name]] = self.voxels.shape[ACROSS[name]] - 1 - column
        index[UP[name]] = self.voxels.shape[UP[name]] - 1 - row
        return index


class CasePage:
    """A case's page; ``page`` is opened and drawn."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.settle()

    def settle(self) -> None:
        self.page.wait("window.gpuprepView?.ready", 60)
        self.page.js(TWO_FRAMES)

    def uncover(self) -> None:
        """Take lines and letters off the planes."""
        self.page.js(
            "css => { const own = new CSSStyleSheet(); own.replaceSync(css);"
            " document.adoptedStyleSheets = [...document.adoptedStyleSheets, own]; }",
            UNCOVERED,
        )

    def planes(self, side: str) -> dict[str, dict[str, float]]:
        """Where each plane lies in the viewport, in CSS pixels."""
        return dict(
            self.page.js(
                "side => Object.fromEntries([...document.querySelectorAll("
                "`.side[data-side=${side}] .plane`)].map((e) => { const r = e.getBoundingClientRect();"
                " return [e.dataset.plane, {x: r.x, y: r.y, width: r.width, height: r.height}]; }))",
                side,
            )
        )

    def letters(self, side: str, plane: str) -> dict[str, str]:
        return dict(
            self.page.js(
                "(side, plane) => Object.fromEntries([...document.querySelectorAll("
                "`.side[data-side=${side}] .plane[data-plane=${plane}] .letter`)].map((e) =>"
                " [[...e.classList].find((c) => c !== 'letter'), e.textContent]))",
                side,
                plane,
            )
        )

    def read(self, side: str) -> dict[str, str]:
        """The line of the readout for a side, as text."""
        return dict(
            self.page.js(
                "side => Object.fromEntries([...document.querySelectorAll("
                "`.readout tr[data-side=${side}] [data-read]`)].map((e) => [e.dataset.read, e.textContent]))",
                side,
            )
        )

    def index(self, side: str) -> tuple[int, ...]:
        """The 1-based index that is shown, x y z."""
        return tuple(int(word) for word in self.read(side)["index"].split("(")[0].split())

    def mm(self, frame: str = "ras") -> np.ndarray:
        return np.array([float(v) for v in self.page.text(f"[data-read={frame}]").split(",")])

    def go_to(self, mm: Any) -> None:
        self.page.js("mm => window.gpuprepView.goTo(mm)", [float(v) for v in mm])
        self.settle()

    def scroll_to_planes(self) -> None:
        self.page.js(
            "document.querySelector('.sides').scrollIntoView({block: 'start', behavior: 'instant'})"
        )

    def click(
        self, side: str, plane: str, row: float, column: float, shape: tuple[int, int]
    ) -> None:
        """Click into the middle of a cell of a plane of so many rows and columns."""
        box = self.planes(side)[plane]
        x = box["x"] + (column + 0.5) / shape[1] * box["width"]
        y = box["y"] + (row + 0.5) / shape[0] * box["height"]
        self.page.click(x, y)
        self.settle()

    def cells(self, side: str, plane: str, shape: tuple[int, int]) -> np.ndarray:
        """The pixel in the middle of every cell of a plane, uint8 ``(rows, columns, 3)``."""
        return self.all_cells({(side, plane): shape})[side, plane]

    def all_cells(self, shapes: dict[tuple[str, str], tuple[int, int]]) -> dict[Any, np.ndarray]:
        """The same of several planes, from one picture of the page."""
        seen, found = self.page.pixels(), {}
        for (side, plane), (rows, columns) in shapes.items():
            box = self.planes(side)[plane]
            x = np.floor(box["x"] + (np.arange(columns) + 0.5) / columns * box["width"])
            y = np.floor(box["y"] + (np.arange(rows) + 0.5) / rows * box["height"])
            found[side, plane] = seen[np.ix_(y.astype(int), x.astype(int))]
        return found
