"""What a service tells of cases whose values went through a table: the whole view, the table too."""

from typing import Any

import numpy as np
import pytest
from support.cohorts import run, write_pairs
from support.service_app import App, Asking

from gpuprep.ops.table import Table
from gpuprep.service.door.tokens import Principal
from gpuprep.service.sights.sights import Sights
from gpuprep.store.places import to_place
from gpuprep.store.stored_case import open_case
from gpuprep.viewing.case_view import json_texts

pytestmark = pytest.mark.usefixtures("reads_here")

BENT: dict[str, Any] = {
    "image": {
        "intensity": [{"clip": {"low": -300, "high": 400}}, {"gamma": {"value": 0.5}}],
    },
    "store": {"dtype": "float32", "fsync": "never"},
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    folder = tmp_path_factory.mktemp("bent")
    write_pairs(folder / "data", 1)
    app = App(folder / "own", roots={"data": str(folder / "data")})
    run(folder / "data", app.folder / "cohorts/bent", BENT)
    return app


@pytest.fixture(scope="module")
def client(app: App) -> Asking:
    return app.client(Principal("reader", "read"))


def test_pages_are_told_the_table_that_leads_back(app: App, client: Asking) -> None:
    found = client.get("/v1/cohorts/bent/cases/volume-0").json()
    (line,) = (channel["line"] for channel in found["after"]["channels"])
    table = Table.from_json(line["table"])
    stored = float(
        np.asarray(open_case(app.folder / "cohorts/bent/cases/volume-0.zarr").image)[9, 9, 9]
    )
    source = table.inverse(line["scale"] * stored + line["offset"])
    volume = found["before"]["channels"][0]
    assert volume["line"]["table"] is None
    assert -300 < source < 400
    assert stored == pytest.approx(-300 + 700 * ((source + 300) / 700) ** 0.5, abs=1e-3)
    assert abs(source - stored) > 1  # a line alone would have told the stored value


def test_an_answer_has_all_that_a_view_has(app: App, client: Asking) -> None:
    sights = Sights()
    seen = sights.look(to_place(app.folder / "cohorts/bent"), "bent", "volume-0", None)
    view = json_texts(seen.sight.view(seen.links))
    assert lost(view, client.get("/v1/cohorts/bent/cases/volume-0").json()) == set()
    sights.close()


def lost(view: Any, answer: Any, place: str = "") -> set[str]:
    """The places of a view that an answer lacks."""
    if isinstance(view, dict):
        return {
            each
            for key, value in view.items()
            for each in (
                lost(value, answer[key], f"{place}.{key}") if key in answer else {f"{place}.{key}"}
            )
        }
    if isinstance(view, list | tuple):
        pairs = zip(view, answer, strict=True)
        return {each for one, other in pairs for each in lost(one, other, f"{place}[]")}
    return set()
