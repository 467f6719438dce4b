"""``plan-and-preprocess`` reads raw files once: what the fingerprint decoded lies ready for the arrays."""

import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.commands import call
from support.nnunet_balls import NAME, raw_dataset

from gpuprep.cli import nnunet_prepare
from gpuprep.nnunet.scratch import scratches
from gpuprep.preprocess import decoded_cases
from gpuprep.values.errors import ConfigError

pytest.importorskip("blosc2")

CASES = 5


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cases whose files are read, one after the other; a raw data set is there."""
    read, assemble = [], decoded_cases.assemble

    def counted(case, *rest, **more):
        read.append(case.id)
        return assemble(case, *rest, **more)

    monkeypatch.setattr(decoded_cases, "assemble", counted)
    monkeypatch.setattr(decoded_cases, "_PAYS", 0.0)  # cases as small as these are read in no time
    monkeypatch.setenv("nnUNet_raw", str(raw_dataset(tmp_path / "raw", CASES)))
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "preprocessed"))
    return read


def prepare(*words: object, check: int = 0) -> str:
    fixed = ("-d", 31, "-npfp", 1, "--scheduler", "serial")
    return call("nnunet", "plan-and-preprocess", *fixed, *words, check=check).stdout


def tree(folder: Path) -> dict[str, bytes]:
    """What nnU-Net sees."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "gpuprep" not in path.relative_to(folder).parts
    }


@pytest.mark.parametrize("statistics", ["exact", "nnunet"])
def test_files_are_read_once_and_the_tree_is_the_same(
    tmp_path: Path, reads: list[str], statistics: str
) -> None:
    folder, found = tmp_path / "preprocessed" / NAME, []
    for words, times in (((), 1), (("--scratch", "0"), 2), (("--scratch", "1MB"), 2)):
        prepare("--statistics", statistics, *words)
        assert len(reads) == times * CASES, words
        assert not (folder / "gpuprep" / ".decoded").exists()
        found.append(tree(folder))
        shutil.rmtree(folder)
        reads.clear()
    assert found[0] == found[1] == found[2]
    assert len(found[0]) > 3 * CASES


def test_a_fingerprint_alone_keeps_nothing(tmp_path: Path, reads: list[str]) -> None:
    prepare("--no_pp")
    assert len(reads) == CASES
    assert not (tmp_path / "preprocessed" / NAME / "gpuprep" / ".decoded").exists()


def test_a_plan_that_cannot_be_made_leaves_nothing_decoded(
    tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "preprocessed" / NAME / "gpuprep"
    seen = []

    def refuse(*_: object) -> None:
        seen.append(len(list((folder / ".decoded").iterdir())))
        raise ConfigError("no plan")

    monkeypatch.setattr(nnunet_prepare, "plan_one", refuse)
    prepare(check=2)
    assert seen == [CASES]
    assert not (folder / ".decoded").exists()


def test_the_same_again_reads_nothing(reads: list[str]) -> None:
    prepare()
    reads.clear()
    prepare()
    assert reads == []


def test_a_size_that_is_none_is_refused(reads: list[str]) -> None:
    done = call("nnunet", "plan-and-preprocess", "-d", 31, "--scratch", "much", check=2)
    assert "--scratch much" in done.stderr
    assert reads == []


def test_data_sets_share_what_they_may_take(tmp_path: Path) -> None:
    folders = [tmp_path / "preprocessed" / name for name in ("a", "b")]  # neither is there yet
    one, other = scratches(folders, 1000)
    assert one is not None
    assert other is not None
    assert (one.bytes, other.bytes, one.after) == (500, 500, "keep")
    assert one.folder != other.folder
    assert scratches(folders, 0) == [None, None]
    free = shutil.disk_usage(tmp_path).free
    (alone,) = scratches(folders[:1], None)
    assert alone is not None
    assert 0 < alone.bytes < free / 3


def test_what_is_set_of_the_input_holds_for_both_passes(tmp_path: Path, reads: list[str]) -> None:
    file = tmp_path / "raw" / NAME / "labelsTr" / "ball_000.nii.gz"
    label = nibabel.load(file)
    affine = label.affine.copy()
    affine[0, 3] += 3
    nibabel.save(nibabel.Nifti1Image(np.asarray(label.dataobj), affine), file)
    told = prepare("--set", "input.policy={E_SHAPE_MISMATCH: fix}")
    assert f"made, of {CASES} cases" in told
    assert f"3d_fullres: {CASES} cases" in told
    assert len(reads) == CASES
