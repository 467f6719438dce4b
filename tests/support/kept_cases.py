"""Small cases as files, and how they are read with a scratch of decoded cases."""

from pathlib import Path

import nibabel
import numpy as np

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.preprocess.assemble import Assembled
from gpuprep.preprocess.decoded_cases import read_case
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.agreement import Classes
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.findings import Findings

MIB = 1 << 20
SHAPE = (40, 36, 30)  # x, y, z as nibabel has it


def config_of(
    tmp_path: Path, bytes_: int = 64 * MIB, after: str = "keep", **more: object
) -> Config:
    scratch = {"folder": str(tmp_path / "scratch"), "bytes": bytes_, "after": after}
    return parse_config({**more, "run": {"scratch": scratch}, "store": {"fsync": "never"}})


def write_case(folder: Path, name: str = "a", seed: int = 0) -> Case:
    """A CT with a float channel beside it, turned axes, and a label with a value that has no name."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(seed)
    affine = np.array([[0, -0.9, 0, 5], [0.8, 0, 0, 7], [0, 0, -2.5, 9], [0, 0, 0, 1.0]])
    label = np.zeros(SHAPE, np.float32)
    label[5:20, 4:30, 3:9], label[30:34, 4:9, 3:9] = 1, 2
    files = {
        "ct": random.normal(0, 100, SHAPE).astype(np.int16),
        "pet": random.random(SHAPE).astype(np.float32),
        "label": label,
    }
    for kind, voxels in files.items():
        nibabel.save(nibabel.Nifti1Image(voxels, affine), folder / f"{name}_{kind}.nii.gz")
    image = tuple(
        Source(str(folder / f"{name}_{kind}.nii.gz"), name=kind) for kind in ("ct", "pet")
    )
    label_map = LabelSource(
        (Source(str(folder / f"{name}_label.nii.gz")),), classes=Classes({1: "organ", 2: "lesion"})
    )
    return Case(name, image, (label_map,), {"split": "train"})


class Counting:
    """A reader that counts its reads."""

    def __init__(self) -> None:
        self.reads = 0

    def __call__(self, source: Source):
        self.reads += 1
        return read(source, ReadRules())


def task_of(tmp_path: Path, case: Case, **more: object) -> CaseTask:
    (tmp_path / "out").mkdir(exist_ok=True)
    return CaseTask(case, str(tmp_path / "out"), "digest", **more)


def kept_once(tmp_path: Path, **more: object) -> tuple[CaseTask, Config, Path]:
    """A task, its config, and the file that was kept of its case."""
    task, config = task_of(tmp_path, write_case(tmp_path / "in")), config_of(tmp_path, **more)
    assert taken(task, config)[2] == 3
    (file,) = entries(tmp_path)
    return task, config, file


def entries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "scratch").iterdir())


def taken(task: CaseTask, config: Config) -> tuple[Assembled, Findings, int]:
    reader, findings = Counting(), Findings(config.input.policy)
    return read_case(task, config, reader, findings), findings, reader.reads


def same(one: Assembled, other: Assembled) -> None:
    for name in Assembled.__slots__:
        a, b = getattr(one, name), getattr(other, name)
        if name == "channels":
            a, b = dict(enumerate(a)), dict(enumerate(b))
        if name in ("channels", "labels"):
            for key in a | b:
                assert a[key].dtype == b[key].dtype
                assert a[key].strides == b[key].strides
                np.testing.assert_array_equal(a[key], b[key])
        elif name == "losses":
            assert a.kept == b.kept
        else:
            assert a == b, name
