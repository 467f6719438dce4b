"""A case whose values went through a table: recorded, replayed, led back, shown and counted."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from support.cohorts import run, write_pairs

import gpuprep
from gpuprep.ops.curve import compose, curve
from gpuprep.ops.pointwise import ClipAffine, clip
from gpuprep.ops.table import Table
from gpuprep.quality.measures import measures_of
from gpuprep.store.stored_case import StoredCase
from gpuprep.viewing.case_sides import after_side, before_side
from gpuprep.viewing.numbers import resolved_numbers
from gpuprep.viewing.provenance import facts, line_text
from gpuprep.viewing.thumbnail import thumbnail_png

CONFIG = {
    "image": {
        "orientation": "keep",
        "intensity": [
            {"clip": {"low": -300, "high": 400}},
            {"gamma": {"value": 0.5}},
            {"zscore": {}},
        ],
    },
    "store": {"dtype": "float32", "fsync": "never"},
}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> StoredCase:
    folder = tmp_path_factory.mktemp("bent")
    run(write_pairs(folder / "in", 1), folder / "out", CONFIG)
    return gpuprep.open(folder / "out")["volume-0"]


def chain_of(case: StoredCase) -> object:
    """What the record says was done to the voxels, put together by hand."""
    (step,) = case.record["intensity"]
    low, high = step["clip"]
    assert step["table"] == Table.from_json(step["table"]).to_json()
    bent = compose(clip(low, high), curve(Table.from_json(step["table"])))
    return compose(bent, ClipAffine(scale=step["scale"], offset=step["offset"]))


def source_of(case: StoredCase) -> np.ndarray:
    path = Path(case.record["input"]) if "input" in case.record else None
    (row,) = (row for row in case.record["source"] if row["role"] == "image")
    file = Path(row["path"])
    file = file if file.is_absolute() else Path(path or ".") / file
    return sitk.GetArrayFromImage(sitk.ReadImage(str(file)))


def test_the_record_replays_and_leads_back(case: StoredCase) -> None:
    source, stored = source_of(case), np.asarray(case.image)
    kept = np.clip(source, -300, 400).astype(np.float64)
    bent = -300 + 700 * ((kept + 300) / 700) ** 0.5
    expected = (bent - bent.mean()) / bent.std()
    assert abs(stored - expected).max() <= 2e-5
    assert abs(stored - chain_of(case).apply(source)).max() <= 1e-6 * np.ptp(expected)
    line = after_side(case).channels[0].line
    assert line is not None
    for value in (-290.0, 0.0, 123.0, 399.0):
        assert line.table is not None
        back = line.table.inverse(line.stored(value) * line.scale + line.offset)
        assert back == pytest.approx(value, abs=1e-6)


def test_it_is_shown_in_the_units_of_the_source(case: StoredCase) -> None:
    (channel,) = after_side(case).channels
    assert channel.window == (-300, 400)
    assert channel.line is not None
    assert set(channel.line.to_json()) == {"scale", "offset", "table"}
    assert any("table" in note for note in channel.notes)
    assert thumbnail_png(case).startswith(b"\x89PNG")
    (step,) = case.record["intensity"]
    assert "a table of" in line_text(step)
    words = {name: text for _, name, text in resolved_numbers(case.record)}
    assert any(name.endswith("table") and "points" in text for name, text in words.items())


def test_the_report_counts_what_became_of_it(case: StoredCase) -> None:
    cohort = gpuprep.open(Path(str(case.path)).parents[1])
    table = cohort.table()
    stored = np.asarray(case.image).astype(np.float64)
    found = {each.name: each.values[0] for each in measures_of(table, cohort.agreement)}
    (lead,) = {name.removesuffix(".mean") for name in found if name.startswith("after.")} & {
        name.removesuffix(".mean") for name in found if name.endswith(".mean")
    }
    assert found[f"{lead}.mean"] == pytest.approx(stored.mean(), abs=1e-5)
    assert found[f"{lead}.std"] == pytest.approx(stored.std(), rel=1e-5)
    assert found[f"{lead}.max"] == pytest.approx(stored.max(), rel=1e-5)
    assert found[f"{lead}.p50"] == pytest.approx(np.percentile(stored, 50), rel=1e-3)


def test_a_table_of_many_points_is_packed_and_shown_as_any_other(tmp_path: Path) -> None:
    steps = [{"clip": {"low": -300, "high": 400}}, {"equalize": {"bins": 65536}}]
    config = {**CONFIG, "image": {"orientation": "keep", "intensity": steps}}
    run(write_pairs(tmp_path / "in", 1), tmp_path / "out", config)
    case = gpuprep.open(tmp_path / "out")["volume-0"]
    assert (case.path / "record.json").stat().st_size < 40_000
    source, stored = source_of(case), np.asarray(case.image)
    assert abs(stored - chain_of(case).apply(source)).max() <= 1e-6
    (step,) = case.record["intensity"]
    words = [text for _, name, text in resolved_numbers(case.record) if name.endswith("table")]
    assert [text.split(" points")[0] for text in words] == [
        str(len(Table.from_json(step["table"]).x))
    ]
    assert "a table of 6" in line_text(step)
    (channel,) = after_side(case).channels
    assert channel.line is not None
    points = channel.line.to_json()["table"]
    assert len(points["x"]) == len(points["y"]) > 60_000  # some fell to the clip


def filtered(folder: Path, filters: list[dict]) -> StoredCase:
    config = {**CONFIG, "image": {"orientation": "keep", "filters": filters}}
    run(write_pairs(folder / "in", 1), folder / "out", config)
    return gpuprep.open(folder / "out")["volume-0"]


def test_a_source_is_shown_in_its_own_range_where_clahe_gave_it_another(tmp_path: Path) -> None:
    case = filtered(tmp_path, [{"median": {}}, {"clahe": {"clip": 0.02}}])
    source = source_of(case)
    (before,), (after,) = before_side(case).channels, after_side(case).channels
    assert before.window == (source.min(), source.max())
    assert (after.line, after.unit, after.window) == (None, "", (0.0, 1.0))
    assert any("clahe" in note for note in after.notes)
    assert thumbnail_png(case).startswith(b"\x89PNG")


def test_filtered_values_are_said_to_be_that(tmp_path: Path) -> None:
    case = filtered(tmp_path, [{"gaussian": {"sigma": 2.0}}])
    (after,) = after_side(case).channels
    assert any("after its filters: gaussian" in note for note in after.notes)
    assert after.line is not None
    assert "unfiltered" not in case.record


def test_steps_and_headers_are_told_in_words() -> None:
    step = {"clip": [None, 4.0], "table": {"x": [0, 1], "y": [0, 2]}, "scale": 1.0, "offset": 0.0}
    assert line_text(step) == "clip to … … 4, then a table of 2 points"
    assert line_text({**step, "scale": 2.0}).endswith("points, then × 2 + 0")
    assert line_text({"clip": [None, None], "scale": 1.0, "offset": 0.0}) == "as it was"
    header = {"modality": "PT", "suv": {"bodyweight": {"factor": 0.5}}, "asked": {"volume": "1"}}
    assert facts(header) == "modality PT, suv (bodyweight (factor 0.5))"


def test_values_of_a_pet_say_what_one_suv_is(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    image = sitk.GetImageFromArray(np.arange(60, dtype=np.float32).reshape(3, 4, 5))
    sitk.WriteImage(image, str(tmp_path / "in" / "pet.nii.gz"))
    told = {
        "Units": "Bq/mL", "InjectedRadioactivity": 200, "InjectedRadioactivityUnits": "MBq",
        "InjectionStart": 0, "ImageDecayCorrected": True, "ImageDecayCorrectionTime": 0,
        "TracerRadionuclide": "F18", "PatientWeight": 80,
    }  # fmt: skip
    (tmp_path / "in" / "pet.json").write_text(json.dumps(told))
    steps = [{"suv": "bodyweight"}, {"gamma": {"value": 0.5, "from": [0, 1]}}]
    run(tmp_path / "in", tmp_path / "out", {**CONFIG, "image": {"intensity": steps}})
    (channel,) = after_side(gpuprep.open(tmp_path / "out")["pet"]).channels
    assert channel.notes[0] == "one SUV (bodyweight) is 2500 of these values"
