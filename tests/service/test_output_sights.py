"""Pages of cases with several outputs: the first is shown, from where it lies; nnU-Net's files are not."""

from pathlib import Path

import numpy as np
import pytest
from support.cohorts import run, write_pairs
from support.outputs import SEVERAL
from support.service_app import App, Asking

from gpuprep.service.door.tokens import Principal
from gpuprep.service.sights.sights import Sights
from gpuprep.store.places import to_place
from gpuprep.store.stored_case import open_case

pytestmark = pytest.mark.usefixtures("reads_here")

NNUNET = {"nnunet": {"patch": [16, 16, 16], "locations": [[1], [2]]}, "dtype": "float32"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    folder = tmp_path_factory.mktemp("outputs")
    write_pairs(folder / "data", 1)
    app = App(folder / "own", roots={"data": str(folder / "data")})
    run(folder / "data", app.folder / "cohorts/several", SEVERAL)
    return app


@pytest.fixture(scope="module")
def client(app: App) -> Asking:
    return app.client(Principal("reader", "read"))


def test_a_page_shows_the_first_output_and_leads_to_its_chunks(app: App, client: Asking) -> None:
    found = client.get("/v1/cohorts/several/cases/volume-0").json()
    (channel,), (label,) = found["after"]["channels"], found["after"]["labels"]
    links = [each["levels"][0]["zarr"] for each in (channel, label)]
    assert [link["path"] for link in links] == ["fine/0", "fine/labels/segmentation/0"]
    for link in links:
        document = client.get(f"{link['store']}/{link['path']}/zarr.json")
        assert document.json()["shape"] == [21, 29, 32]
    assert ["output", "fine"] in found["provenance"]


def test_a_viewer_shows_the_output_it_was_started_for(app: App) -> None:
    place = to_place(app.folder / "cohorts/several")
    sights = Sights(output="coarse")
    seen = sights.look(place, "several", "volume-0", None)
    view = seen.sight.view(seen.links)
    levels = view["after"]["channels"][0]["levels"]
    assert [level["zarr"] and level["zarr"]["path"] for level in levels][:2] == [
        "coarse/0",
        "coarse/1",
    ]
    sights.close()


def test_files_of_nnunet_are_checked_listed_and_not_shown(app: App, client: Asking) -> None:
    pytest.importorskip("blosc2")
    place: Path = app.folder / "cohorts/nnunet"
    config = {**SEVERAL, "outputs": {"net": {"store": NNUNET}, "arrays": {}}}
    assert run(app.folder.parent / "data", place, config).exit_code == 0
    told = client.get("/v1/cohorts/nnunet/cases/volume-0")
    assert (told.status_code, told.json()["code"]) == (404, "E_CASE")
    assert "no arrays are stored of the case" in told.json()["detail"]
    rows = client.get("/v1/cohorts/nnunet/cases").json()
    assert "volume-0" in str(rows)
    arrays = open_case(place / "cases" / "volume-0.zarr", output="arrays")
    assert np.asarray(arrays.image).shape == (21, 29, 32)
