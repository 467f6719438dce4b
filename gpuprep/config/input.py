"""``input``: how files are found and read."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from gpuprep.config.strict import Positive, Strict
from gpuprep.values.codes import CODES, RENAMED, Policy
from gpuprep.values.structures import StructureRules

SeveralVolumes = Literal["refuse", "channels", "cases", "first"]
# fmt: off
Layout = Literal[
    "auto", "msd", "nnunet", "lits", "folders", "pairs", "bids", "manifest", "dicom", "plain",
    "abdomenatlas", "amos", "autopet", "brats", "chaos", "ct-org", "hecktor", "ircadb", "isles22", "isles24",
    "kits", "luna16", "picai", "totalsegmentator",
]
# fmt: on


class Limits(Strict):
    """What a file may ask for before it is refused."""

    voxels: Annotated[int, Field(gt=0)] = 4_000_000_000
    bytes: Annotated[int, Field(gt=0)] = 16 * 2**30
    seconds: Positive = 600.0


class Input(Strict):
    """How files are found and read, and what is made of each finding."""

    layout: Layout = "auto"
    channels: tuple[str, ...] = ()
    """Names of the channels, in the order of the files, where the input gives none."""
    series: Literal["all", "volumes"] = "all"
    """Which DICOM series are cases: ``volumes`` leaves out localizers, secondary captures without a position
    (dose pages, screen saves) and single slices."""
    several_volumes: SeveralVolumes = "refuse"
    """What becomes of a DICOM series with several volumes (time points, b-values, echoes): channels of one
    case, a case each, or the first alone. Other files with a fourth axis are channels, if it is not one of
    the last two."""
    structures: dict[str, str] = Field(default_factory=dict)
    """What structures of DICOM segmentations, RTSTRUCT and ``.seg.nrrd`` are called, by patterns of their own
    names (``gtv*``, in any case); what fits none is left out. Empty for all, as they are called."""
    label_layers: bool = False
    """Make each of these structures a label map of its own, so that they may overlap."""
    label_series: str = ""
    """A pattern (``*mask*``) of the description or the folder of DICOM series that are labels."""
    reader: Literal["checked", "itk"] = "checked"
    """Who reads voxels: gpuprep's own readers, or SimpleITK after the same checks of length, sums and
    geometry."""
    follow_symlinks: bool = False
    """Follow links to folders, and to files outside the input folder."""
    roots: tuple[str, ...] = ()
    """The only folders, besides the input's own, that followed links and a manifest may lead to.

    Without any they may lead anywhere.
    """
    limits: Limits = Limits()
    grid_tolerance: Positive = 0.01
    """Placements that differ by less, in mm at any corner, are taken as equal: grids of one case, the two
    affines of a header, axes that are not quite orthogonal and the nearest that are."""
    slice_tolerance: Positive = 0.01
    """By how many mm a gap between slices may differ from the others (always by 1 % of them), and a slice
    lie off even steps (always by 10 %)."""
    policy: dict[str, Policy] = Field(default_factory=dict)
    """What to do per finding code: ``error``, ``warn``, ``fix`` or ``skip``."""

    @property
    def structure_rules(self) -> StructureRules:
        """Which structures and series are labels."""
        return StructureRules(self.structures, self.label_layers, self.label_series)

    @field_validator("policy")
    @classmethod
    def _known(cls, policy: dict[str, Policy]) -> dict[str, Policy]:
        for code, asked in policy.items():
            if code in RENAMED:
                raise ValueError(f"{code} is called {RENAMED[code]} now")
            if code not in CODES:
                raise ValueError(f"{code!r} is no finding code; known: {', '.join(CODES)}")
            if not CODES[code].takes(asked):
                able = [each for each in get_args(Policy) if CODES[code].takes(each)]
                raise ValueError(
                    f"{asked!r} does nothing for {code} ({CODES[code].meaning}); choose {' or '.join(able)}"
                )
        return policy
