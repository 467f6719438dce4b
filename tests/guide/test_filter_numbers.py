"""The numbers of the page about filters are those of the file in ``benchmarks/results``."""

import json

from guide.pages import ROOT, table


def test_what_filters_cost() -> None:
    rows = json.loads((ROOT / "benchmarks/results/filters.json").read_text("utf-8"))["rows"]
    told = table("filters", "filter", "voxels")
    assert {cells[0] for cells in told} == rows.keys() - {"curvature_diffusion"}
    for name, shape, ours, theirs, ratio, _ in told:
        row = rows[name]
        assert shape == "×".join(map(str, row["shape"]))
        assert ours == f"{row['cpu']:.2f} s"
        assert theirs.endswith(f" {row['their_cpu']:.1f} s")
        assert ratio == f"{row['ratio']:.1f}"
