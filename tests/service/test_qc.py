"""A cohort in numbers over HTTP: distributions, filtered and sorted pages, and what is refused."""

import numpy as np
import pytest
from support.cohorts import run, write_pairs
from support.service_app import App

import gpuprep
from gpuprep.service.door.tokens import Principal

READER = Principal("reader", "read", (), ("*",))
COUNT = 12


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> App:
    folder = tmp_path_factory.mktemp("qc")
    write_pairs(folder / "data", COUNT)
    app = App(folder / "folder", roots={"data": str(folder / "data")})
    run(folder / "data", app.folder / "cohorts/liver", scheduler="serial")
    return app


@pytest.fixture(scope="module")
def client(app: App):
    return app.client(READER)


def test_distributions_are_those_of_the_table(app, client):
    told = client.get("/v1/cohorts/liver/qc").json()
    table = gpuprep.open(app.folder / "cohorts/liver").table()
    measures = {each["name"]: each for each in told["measures"]}
    assert told["cases"] == told["selected"] == COUNT
    for name in ("source_shape_x", "spacing_z", "statistics.channel_0.p50"):
        found, values = measures[name], table[name]
        values = values.astype(np.float32).astype(float)
        assert found["median"] == np.median(values)
        assert found["counts"] == np.histogram(values, found["edges"])[0].tolist()
        assert found["missing"] == 0
    volume = table["voxels.segmentation.1"] * 1.0 * 1.0 * 1.5 / 1000
    assert measures["ml.segmentation.1"]["median"] == pytest.approx(np.median(volume))
    classes = {each["value"]: each for each in told["classes"]}
    assert classes[1]["present"] == COUNT
    assert classes[1]["absent"] == 0


def test_ranges_and_a_text_select(app, client):
    table = gpuprep.open(app.folder / "cohorts/liver").table()
    wide = table["source_shape_x"] >= 55
    where = ["source_shape_x:55:", "spacing_z:1.4:1.6"]
    told = client.get("/v1/cohorts/liver/qc", params={"where": where}).json()
    assert told["selected"] == np.count_nonzero(wide)
    shape = next(each for each in told["measures"] if each["name"] == "source_shape_x")
    assert (
        shape["selected"] == np.histogram(table["source_shape_x"][wide], shape["edges"])[0].tolist()
    )
    page = client.get("/v1/cohorts/liver/cases", params={"where": where}).json()
    assert [each["id"] for each in page["items"]] == table["case"][wide].tolist()
    page = client.get("/v1/cohorts/liver/cases", params={"search": "VOLUME-1"}).json()
    assert [each["id"] for each in page["items"]] == ["volume-1", "volume-10", "volume-11"]


def test_pages_are_sorted_by_a_measure_and_go_on_by_row(client):
    asked = {"sort": "-source_shape_x", "limit": 5}
    first = client.get("/v1/cohorts/liver/cases", params=asked).json()
    second = client.get("/v1/cohorts/liver/cases", params={**asked, "first": 5}).json()
    assert first["total"] == second["total"] == COUNT
    assert first["next"] is None
    widths = [each["values"]["source_shape_x"] for each in (*first["items"], *second["items"])]
    assert widths == [40 + 3 * number for number in range(COUNT - 1, 1, -1)]


def test_measures_that_are_asked_for_are_told(client):
    asked = {"measure": ["source_shape_x", "findings"], "sort": "-id", "limit": 2}
    items = client.get("/v1/cohorts/liver/cases", params=asked).json()["items"]
    assert [each["id"] for each in items] == ["volume-11", "volume-10"]
    assert items[0]["values"] == {"source_shape_x": 73, "findings": 0}


def test_pages_by_id_are_as_before(client):
    first = client.get("/v1/cohorts/liver/cases", params={"limit": 7}).json()
    assert first["next"] == "volume-6"
    rest = client.get("/v1/cohorts/liver/cases", params={"after": "volume-6"}).json()
    assert [each["id"] for each in rest["items"]] == [f"volume-{n}" for n in range(7, COUNT)]
    assert rest["next"] is None


def test_one_case_in_numbers(client):
    told = client.get("/v1/cohorts/liver/qc/cases/volume-3").json()
    assert told["values"]["source_shape_x"] == 49
    assert told["outliers"] == []
    assert client.get("/v1/cohorts/liver/qc/cases/volume-99").status_code == 404


@pytest.mark.parametrize(
    ("path", "asked", "said"),
    [
        ("qc", {"where": "spacing_z"}, "not of the form"),
        ("qc", {"where": "spacing_z:2:1"}, "not of the form"),
        ("qc", {"where": "spacing_z:nan:1"}, "not of the form"),
        ("qc", {"where": "colour:1:2"}, "no measure 'colour'"),
        ("qc", {"where": ["spacing_z:1:2"] * 21}, "at most 20"),
        ("qc", {"where": "x" * 601}, "at most 600"),
        ("qc", {"search": "x" * 256}, "at most 255"),
        ("cases", {"sort": "colour"}, "no measure 'colour'"),
        ("cases", {"measure": "colour"}, "no measure 'colour'"),
        ("cases", {"first": -1}, "greater than or equal to 0"),
        ("cases", {"after": "volume-3", "sort": "spacing_z"}, "use first"),
    ],
)
def test_what_is_refused(client, path, asked, said):
    answer = client.get(f"/v1/cohorts/liver/{path}", params=asked)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
