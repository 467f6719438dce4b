"""What a slot may take: memory, and a scratch folder that may be gone or full."""

import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.cohorts import CONFIG
from support.warm_slots import serving

from gpuprep.config.file import parse_config
from gpuprep.service import slots as module
from gpuprep.service.slots import WarmProfile

MEMORY = 4 << 20


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name, side in (("small", 16), ("large", 160)):
        voxels = np.random.default_rng(0).integers(0, 99, (side,) * 3).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / f"{name}.nii")
    return folder


def test_a_volume_beyond_the_memory_of_a_slot_is_refused_by_number(
    data, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(module, "available_memory", lambda: MEMORY)
    profile = {"ct": WarmProfile(parse_config(CONFIG))}
    with serving(profile, tmp_path / "scratch", data) as service:
        before = service.pids()
        answer = service.name("large.nii")
        assert (answer.status_code, answer.json()["code"]) == (422, "MEMORY"), answer.text
        assert service.name("small.nii").status_code == 200
        assert service.pids() == before
        (pid,) = before
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max address space +\d+ ", limits), "no slot takes memory without end"
        assert re.search(r"Max core file size +0 ", limits)


def test_a_service_without_its_scratch_folder_says_so(data, tmp_path) -> None:
    profile = {"ct": WarmProfile(parse_config(CONFIG))}
    with serving(profile, tmp_path / "scratch", data) as service:
        (tmp_path / "scratch").rename(tmp_path / "elsewhere")
        answer = service.name("small.nii")
        assert (answer.status_code, answer.json()["code"]) == (503, "ENOENT"), answer.text
        assert str(tmp_path) not in answer.text
        (tmp_path / "elsewhere").rename(tmp_path / "scratch")
        assert service.name("small.nii").status_code == 200
        service.settle()
        assert service.slots.state() == {"ct": {"slots": 1, "busy": 0, "waiting": 0}}
