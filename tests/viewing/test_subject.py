"""What inspect says is what nibabel, NumPy and the stored case say."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL.Image import Image
from rich.console import Console
from typer.testing import CliRunner

from gpuprep.cli.cases import app
from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.running.coordinator import run
from gpuprep.store.reader import open_cohort
from gpuprep.values.errors import UsageError
from gpuprep.viewing import Inspection, inspect_path
from gpuprep.viewing.page import draw, page

pytestmark = pytest.mark.usefixtures("reads_here")

AFFINE = np.array([[-0.8, 0, 0, 5], [0, 0.9, 0, -7], [0, 0, 2.5, 11], [0, 0, 0, 1]])
DEFAULTS = Config()
CLIPPED = parse_config({"image": {"intensity": [{"clip": {"low": -100, "high": 300}}]}})


def save(file: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nibabel.save(nibabel.Nifti1Image(array, affine), file)
    return file


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    random = np.random.default_rng(2)
    return save(tmp_path / "scan.nii.gz", random.normal(0, 200, (20, 24, 12)).astype(np.int16))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cases with labels: one clipped and rescaled image each."""
    folder = tmp_path_factory.mktemp("inspected") / "in"
    folder.mkdir()
    random = np.random.default_rng(4)
    for name in ("a", "b"):
        save(folder / f"{name}_image.nii.gz", random.integers(-900, 900, (20, 24, 12), np.int16))
        label = np.zeros((20, 24, 12), np.uint8)
        label[4:15, 5:20, 3:9] = 1
        label[8:10, 8:12, 4:6] = 2
        save(folder / f"{name}_label.nii.gz", label)
    rules = parse_config(
        {
            "image": {
                "intensity": [{"clip": {"low": -500, "high": 700}}, {"rescale": {"to": [0, 6]}}],
                "resample": {"spacing": [1.0, 1.0, 2.0]},
            },
            "store": {"fsync": "never"},
        }
    )
    out = folder.parent / "stored"
    assert run(folder, out, config=rules, scheduler="serial").exit_code == 0
    return out


def text_of(found: Inspection) -> str:
    console = Console(width=100, record=True, file=Path("/dev/null").open("w"))  # noqa: SIM115
    with console.file:
        console.print(page(found))
        return console.export_text()


def call(*words: object) -> tuple[int, str, BaseException | None]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    error = None if isinstance(done.exception, SystemExit) else done.exception
    return done.exit_code, done.stdout, error


def test_input_geometry_is_the_headers(scan: Path) -> None:
    found = inspect_path(scan, DEFAULTS)
    image = nibabel.load(scan)
    tree = found.to_json()["geometry"]
    assert found.kind == "input"
    assert tree["size"] == [20, 24, 12]
    assert np.allclose(tree["spacing"], image.header.get_zooms())
    assert np.allclose(found.geometry.affine_ras, image.affine, atol=1e-5)
    assert tree["orientation"] == "".join(nibabel.aff2axcodes(image.affine))
    assert np.allclose(tree["field_of_view_mm"], [16, 21.6, 30])


def test_input_statistics_are_numpys(scan: Path) -> None:
    (channel,) = inspect_path(scan, DEFAULTS).channels
    voxels = np.asarray(nibabel.load(scan).dataobj)
    assert channel.array.dtype == np.int16
    assert channel.statistics["min"] == voxels.min()
    assert channel.statistics["std"] == pytest.approx(voxels.std())
    for q, value in channel.statistics["percentiles"].items():
        assert value == pytest.approx(np.percentile(voxels, float(q)))


@pytest.mark.parametrize(
    ("steps", "window"),
    [
        ([{"zscore": {}}, {"clip": {"low": -100, "high": 300}}], lambda _: (-100, 300)),
        ([{"window": {"level": 40, "width": 400}}], lambda _: (-160, 240)),
        ([{"percentile_clip": {"low": 2, "high": 90}}], lambda v: np.percentile(v, [2, 90])),
        ([], lambda v: np.percentile(v, [0.5, 99.5])),
    ],
)
def test_window_is_the_configs_clip(scan: Path, steps: list, window: object) -> None:
    config = parse_config({"image": {"intensity": steps}})
    (channel,) = inspect_path(scan, config).channels
    assert channel.window == pytest.approx(tuple(window(np.asarray(nibabel.load(scan).dataobj))))


def test_a_label_by_itself_is_counted(tmp_path: Path) -> None:
    label = np.zeros((10, 10, 10), np.uint8)
    label[2:5, 2:5, 2:5] = 7
    found = inspect_path(save(tmp_path / "tissue.nii", label), DEFAULTS)
    (values,) = found.labels
    assert dict(values.voxels) == {0: 973, 7: 27}
    assert values.ml(7) == pytest.approx(27 * 0.8 * 0.9 * 2.5 / 1000)
    assert "label 7" in text_of(found)


def test_nan_is_counted_and_found(tmp_path: Path) -> None:
    voxels = np.ones((9, 9, 9), np.float32)
    voxels[0, 0, :3] = np.nan
    found = inspect_path(save(tmp_path / "x.nii", voxels), DEFAULTS)
    assert found.channels[0].statistics["nan"] == 3
    assert [(finding.code, finding.severity) for finding in found.findings] == [("W_NAN", "warn")]
    assert "3 NaN or infinite" in text_of(found)


def test_a_truncated_file_still_tells_its_grid(tmp_path: Path, scan: Path) -> None:
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(scan.read_bytes()[:-900])
    found = inspect_path(cut, DEFAULTS)
    assert found.geometry is not None
    assert found.geometry.size == (20, 24, 12)
    assert [(finding.code, finding.severity) for finding in found.findings] == [
        ("E_TRUNCATED", "error")
    ]
    code, printed, error = call("inspect", cut, "--png", tmp_path / "p.png")
    assert (code, error) == (1, None)
    assert "E_TRUNCATED" in printed
    assert "try:" in printed
    assert not (tmp_path / "p.png").exists()


def test_a_file_without_any_header_is_explained(tmp_path: Path) -> None:
    (tmp_path / "junk.nii").write_bytes(b"no header here" * 40)
    found = inspect_path(tmp_path / "junk.nii", DEFAULTS)
    assert found.geometry is None
    assert found.failure is not None
    assert "E_UNREADABLE" in text_of(found)
    json.dumps(found.to_json())


@pytest.mark.parametrize("name", ["a", "cases/a.zarr"])
def test_stored_case(cohort: Path, name: str) -> None:
    found = inspect_path(cohort / name, DEFAULTS)
    case = open_cohort(cohort)["a"]
    values, counts = np.unique(np.asarray(case.labels["segmentation"]), return_counts=True)
    (label,) = found.labels
    assert found.kind == "stored"
    assert found.geometry == case.geometry
    assert dict(label.voxels) == dict(zip(values.tolist(), counts.tolist(), strict=True))
    assert label.ml(1) == pytest.approx(counts[1] * 2.0 / 1000)
    assert found.channels[0].window == pytest.approx((0, 6))
    assert found.channels[0].statistics["max"] == np.asarray(case.image).max()
    on_disk = sum(file.stat().st_size for file in case.path.rglob("*") if file.is_file())
    assert found.stored_bytes == on_disk - (case.path / "record.json").stat().st_size
    assert found.raw_bytes == case.image[...].nbytes + case.labels["segmentation"][...].nbytes


def test_provenance_is_printed_and_in_json(cohort: Path) -> None:
    found = inspect_path(cohort / "a", DEFAULTS)
    record = open_cohort(cohort)["a"].record
    printed = " ".join(text_of(found).split())
    assert record["digest"][:12] in printed
    assert "a_image.nii.gz" in printed
    assert record["source"][0]["sha256"][:12] in printed
    assert "clip to -500 … 700, then × 0.005 + 2.5" in printed
    assert "crop none" in printed
    tree = json.loads(json.dumps(found.to_json()))
    assert tree["record"]["digest"] == record["digest"]
    assert {row["value"]: row["voxels"] for row in tree["labels"][0]["values"]}


def test_findings_show_severity_and_advice(tmp_path: Path) -> None:
    save(tmp_path / "thin.nii", np.zeros((20, 20, 2), np.int16))
    found = inspect_path(tmp_path / "thin.nii", DEFAULTS)
    assert "warn W_FEW_SLICES" in text_of(found)


def test_what_cannot_be_one_case_is_refused(cohort: Path, tmp_path: Path) -> None:
    for name in ("x", "y"):
        save(tmp_path / f"{name}.nii", np.zeros((6, 6, 6), np.int16))
    for path, told in (
        (cohort, "whole cohort"),
        (cohort / "c", "no case 'c'"),
        (tmp_path, r"2 cases \(x, y\)"),
        (tmp_path / "z.nii", "does not exist"),
    ):
        with pytest.raises(UsageError, match=told):
            inspect_path(path, DEFAULTS)


def test_dicom_folders(scans: Path) -> None:
    series = inspect_path(scans / "totalseg" / "example_ct_dicom", DEFAULTS)
    assert series.geometry is not None
    assert series.geometry.size == (512, 512, 20)
    gap = inspect_path(scans / "ge_tilt_varspacing_ct", DEFAULTS)
    assert gap.failure is not None
    assert gap.failure.code == "E_SLICE_GAP"


def test_command_prints_json_and_draws(cohort: Path, tmp_path: Path) -> None:
    png = tmp_path / "p.png"
    code, printed, error = call("inspect", cohort / "b", "--json", "--png", png)
    assert (code, error) == (0, None)
    assert json.loads(printed)["id"] == "b"
    assert png.read_bytes()[:4] == b"\x89PNG"


def below_title(picture: Image) -> np.ndarray:
    return np.asarray(picture)[66:]


def test_picture_of_a_chosen_label_and_channel(cohort: Path) -> None:
    found = inspect_path(cohort / "a", DEFAULTS)
    (channel,), (label,) = found.channels, found.labels
    channels = channel, replace(channel, name="mirrored", array=channel.array[:, :, ::-1])
    labels = label, replace(label, name="turned", array=label.array[::-1])
    both = replace(found, channels=channels, labels=labels)
    drawn = {}
    for number, name in product((0, 1), ("segmentation", "turned")):
        chosen = labels[name == "turned"]
        alone = draw(replace(found, channels=(channels[number],), labels=(chosen,)))
        drawn[number, name] = below_title(draw(both, label=name, channel=number))
        assert np.array_equal(drawn[number, name], below_title(alone))
    assert np.array_equal(below_title(draw(both)), drawn[0, "segmentation"])
    assert len({pixels.tobytes() for pixels in drawn.values()}) == 4
    with pytest.raises(UsageError, match="no label 'liver'") as refused:
        draw(both, label="liver")
    assert "segmentation, turned" in refused.value.advice
    with pytest.raises(UsageError, match="no channel 2"):
        draw(both, channel=2)


def test_labels_without_an_image(tmp_path: Path) -> None:
    """The label is red on black: a third of each plane's height and width."""
    label = np.zeros((12, 12, 12), np.uint8)
    label[3:7, 3:7, 3:7] = 1
    save(tmp_path / "in.nii", label)
    rules = parse_config({"label": {"only": True}, "store": {"fsync": "never"}})
    report = run(tmp_path / "in.nii", tmp_path / "out", config=rules, scheduler="serial")
    assert report.exit_code == 0, report.failures
    found = inspect_path(tmp_path / "out" / "in", DEFAULTS)
    assert not found.channels
    red, green, _ = np.moveaxis(below_title(draw(found)).astype(int), -1, 0)
    black, coloured = np.count_nonzero(red == 0), np.count_nonzero(red > 2 * green)
    assert coloured / (black + coloured) == pytest.approx(1 / 9, rel=0.05)
    assert "segmentation" in text_of(found)


def test_export_command(cohort: Path, tmp_path: Path) -> None:
    words = ("export", cohort, "a", tmp_path / "x.nii.gz", "--label", "segmentation", "--native")
    code, printed, error = call(*words)
    assert (code, error) == (0, None)
    assert "uint8" in printed
    source = nibabel.load(cohort.parent / "in" / "a_label.nii.gz")
    written = nibabel.load(tmp_path / "x.nii.gz")
    assert np.allclose(written.affine, source.affine, atol=1e-5)
    assert written.shape == source.shape
    code, _, error = call(*words)
    assert code != 0
    assert isinstance(error, UsageError)
    code, printed, _ = call(*words, "--overwrite", "--json")
    assert json.loads(printed)["dtype"] == "uint8"
