"""The addresses under which the parts of a case are read: pages take them from its JSON and build none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from gpuprep.store.layout import IMAGE_ARRAY, image_array, label_array
from gpuprep.store.several import below
from gpuprep.viewing.side import OTHER_CODEC, Side


@dataclass(frozen=True, slots=True)
class Links:
    """Attributes: ``base`` is the address of the case, ``store`` that of its Zarr group, empty for none."""

    base: str
    store: str = ""

    @classmethod
    def of_case(cls, cohort: str, case_id: str) -> Links:
        """Those of a service's case."""
        told = quote(case_id, safe="")
        return cls(f"/v1/cohorts/{cohort}/cases/{told}", f"/v1/zarr/{cohort}/cases/{told}.zarr")

    def volume(self, side: str, level: int, *, channel: int = 0, label: str | None = None) -> str:
        """A channel or label map as a NIfTI file."""
        what = {"channel": channel} if label is None else {"label": label}
        return f"{self.base}/volume.nii?{urlencode({'side': side, **what, 'level': level}, quote_via=quote)}"

    def plane(self, side: str) -> str:
        """A pattern: axis, index, channel, low, high and label are filled in."""
        told = f"side={side}&channel={{channel}}&low={{low}}&high={{high}}&label={{label}}"
        return f"{self.base}/planes/{{axis}}/{{index}}.png?{told}"

    def zarr(self, side: Side, level: int, channel: int | None, label: str = "") -> Any:
        """Where the store holds a level; None where it does not, or is not served."""
        if not self.store or side.name != "after" or level >= side.stored_levels:
            return None
        path = below(side.output, label_array(label, level) if label else image_array(level))
        codec = side.codecs.get(label or IMAGE_ARRAY, OTHER_CODEC)
        return {"store": self.store, "path": path, "channel": channel, "codec": codec}
