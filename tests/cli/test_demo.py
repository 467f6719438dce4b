"""The demo does what it says, twice, and needs only installed packages."""

import io
import socket
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

pytest.importorskip("nilearn", reason="the demo's volumes come with nilearn")

from gpuprep.cli.demo import build_input, run_demo
from gpuprep.store.reader import open_cohort
from gpuprep.values.errors import UsageError

pytestmark = pytest.mark.usefixtures("reads_here")


def play(folder: Path) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=120)
    code = run_demo(folder, console)
    return code, console.file.getvalue()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str, float]:
    folder = tmp_path_factory.mktemp("demo") / "here"
    start = time.monotonic()
    code, told = play(folder)
    return folder, code, told, time.monotonic() - start


def test_only_the_damaged_file_fails(played: tuple[Path, int, str, float]) -> None:
    folder, code, told, seconds = played
    assert code == 0, told
    assert set(open_cohort(folder / "cohort")) == {"mni152", "ct_small", "mr_small"}
    assert "E_TRUNCATED" in told
    assert "damaged_t1.nii.gz" in told
    assert "3 done, 1 failed" in told
    assert seconds < 60


def test_brain_is_the_template(played: tuple[Path, int, str, float]) -> None:
    folder = played[0]
    case = open_cohort(folder / "cohort")["mni152"]
    label = np.asarray(case.labels["segmentation"])
    assert case.geometry.spacing == (2.0, 2.0, 2.0)
    assert dict(case.label_names["segmentation"]) == {1: "grey_matter", 2: "white_matter"}
    brain = nibabel.load(folder / "input" / "mni152_t1.nii.gz")
    assert brain.shape == (197, 233, 189)
    for value, name in ((1, "grey_matter"), (2, "white_matter")):
        mask = nibabel.load(folder / "input" / "mni152_tissues" / f"{name}.nii.gz")
        ml = np.count_nonzero(mask.dataobj) / 1000
        assert np.count_nonzero(label == value) * 8 / 1000 == pytest.approx(ml, rel=0.01)
    white, grey = (np.asarray(case.image)[label == value].mean() for value in (2, 1))
    assert white > grey  # as in every T1-weighted image


def test_picture_patch_and_next_commands_are_told(played: tuple[Path, int, str, float]) -> None:
    folder, _, told, _ = played
    with Image.open(folder / "mni152.png") as picture:
        assert picture.width > 1000
    assert "(48, 48, 48), float16" in told
    for command in ("gpuprep inspect", "gpuprep export", "gpuprep verify"):
        assert f"{command} {folder / 'cohort'}" in told


def test_second_time_everything_is_done(played: tuple[Path, int, str, float]) -> None:
    folder = played[0]
    before = {case.id: case.record["written"] for case in open_cohort(folder / "cohort").values()}
    code, told = play(folder)
    assert code == 0
    assert "3 already done" in told
    assert "done already" in told
    after = {case.id: case.record["written"] for case in open_cohort(folder / "cohort").values()}
    assert after == before


def test_no_network_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the demo opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    build_input(tmp_path / "d")
    assert (tmp_path / "d" / "input" / "ct_small" / "CT_small.dcm").is_file()


def test_without_nilearn_the_install_line_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nilearn", None)
    with pytest.raises(UsageError, match="nilearn") as refused:
        build_input(tmp_path / "d")
    assert refused.value.advice == "pip install 'gpuprep[demo]'"
    assert not (tmp_path / "d").exists()


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="not made by the demo"):
        build_input(tmp_path)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError):
        build_input(tmp_path / "file")
    assert {entry.name for entry in tmp_path.iterdir()} == {"thesis.txt", "file"}
