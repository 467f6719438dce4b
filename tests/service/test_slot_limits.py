"""What a slot may take: memory, and a scratch folder that may be gone or full."""

import re
import socket
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.cohorts import CONFIG
from support.runs import wait_until
from support.warm_slots import serving

from gpuprep.config.file import parse_config
from gpuprep.service.problems import problem_response
from gpuprep.service.volumes import bench
from gpuprep.service.volumes import slots as module
from gpuprep.service.volumes.answers import Wanted
from gpuprep.service.volumes.orders import Order, Terms
from gpuprep.service.volumes.routes import _problem
from gpuprep.service.volumes.slots import WarmProfile
from gpuprep.service.volumes.uploads import UploadLimits

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


def test_who_does_not_take_its_answer_holds_its_place_for_a_while_only(data, tmp_path) -> None:
    profile = {"ct": WarmProfile(parse_config(CONFIG))}
    limits = UploadLimits(seconds=1)
    with serving(profile, tmp_path / "scratch", data, limits) as service:
        with socket.create_connection(("127.0.0.1", service.port)) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            body = b'{"root": "data", "path": "large.nii"}'
            head = "POST /v1/process?answer=nifti HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            wait_until(lambda: list(service.scratch.glob("visit-*/large.nii")), "it is prepared")
            service.settle()  # while the client is still there, and reads nothing
        assert service.name("small.nii").status_code == 200


def test_a_fault_of_our_own_is_told_without_its_trace(data, tmp_path, monkeypatch, caplog) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("of a voxel")

    monkeypatch.setattr(bench, "perform", fail)
    own = bench.Bench(Terms(parse_config(CONFIG), str(tmp_path / "slot"), "numpy", 1, 1 << 30))
    file = data / "small.nii"
    reply = own.do(Order(str(file), file.name, str(tmp_path), Wanted(), str(data)))
    assert (reply.refused.status, reply.refused.code) == (500, "BUG")
    assert "ZeroDivisionError" in reply.trace
    told = problem_response(_problem(reply, reply.refused)).body.decode()
    assert "ZeroDivisionError" not in told
    assert "of a voxel" not in told
    assert "ZeroDivisionError: of a voxel" in caplog.text
