"""One volume sent to a service that is played: what goes along, and what its answers are."""

import io
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from support.receiver import Received, Reply, receiving

import gpuprep
from gpuprep.values.errors import ServiceError, UsageError

IMAGE = np.arange(24, dtype=np.float16).reshape(2, 3, 4)


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, IMAGE)
    return buffer.getvalue()


ANSWER = Reply(
    200,
    npy(),
    {
        "Content-Type": "application/x-npy",
        "Content-Disposition": 'attachment; filename="scan.npy"',
        "Server-Timing": "receive;dur=12.5, total;dur=250.0, cdn;desc=x",
        "Gpuprep-Findings": "W_A, W_B",
    },
)


def asked(request: Received) -> dict[str, str]:
    return {name: given[0] for name, given in parse_qs(urlsplit(request.path).query).items()}


def test_a_file_is_sent_and_its_array_comes_back(tmp_path) -> None:
    (tmp_path / "scan.nii.gz").write_bytes(b"voxels")
    replies = [Reply(503, b"{}", {"Retry-After": "0"}), ANSWER]
    with (
        receiving(lambda number, _: replies[number]) as receiver,
        gpuprep.Client(receiver.url, "t") as client,
    ):
        prepared = client.process(tmp_path / "scan.nii.gz", profile="ct")
    assert np.array_equal(prepared.array, IMAGE)
    assert (prepared.name, prepared.findings) == ("scan.npy", ("W_A", "W_B"))
    assert prepared.seconds == {"receive": 0.0125, "total": 0.25}
    for request in receiver.received:  # the file is read anew for the second try
        assert request.body == b"voxels"
        assert asked(request) == {"profile": "ct", "answer": "npy", "name": "scan.nii.gz"}
        assert request.headers["Content-Type"] == "application/octet-stream"
    assert prepared.save(tmp_path) == tmp_path / "scan.npy"
    assert np.array_equal(np.load(tmp_path / "scan.npy"), IMAGE)
    with pytest.raises(UsageError, match="x-npy"):
        prepared.patches  # noqa: B018


def test_a_volume_of_a_root_and_bytes_by_name() -> None:
    with receiving(lambda *_: ANSWER) as receiver, gpuprep.Client(receiver.url, "t") as client:
        client.process(root="data", path="a/scan.nii.gz", answer="zarr")
        client.process(b"voxels", name="scan.mha", patch=(8, 9, 10), overlap=0.25)
    by_path, by_bytes = receiver.received
    assert by_path.body.replace(b" ", b"") == b'{"root":"data","path":"a/scan.nii.gz"}'
    assert by_path.headers["Content-Type"] == "application/json"
    assert asked(by_path) == {"answer": "zarr"}
    assert by_bytes.body == b"voxels"
    assert asked(by_bytes) == {
        "answer": "npy",
        "patch": "8,9,10",
        "overlap": "0.25",
        "name": "scan.mha",
    }


def test_an_array_with_objects_is_not_unpickled(tmp_path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], object), allow_pickle=True)
    reply = Reply(200, buffer.getvalue(), {"Content-Type": "application/x-npy"})
    with receiving(lambda *_: reply) as receiver, gpuprep.Client(receiver.url, "t") as client:
        prepared = client.process(b"x", name="a.nii")
        with pytest.raises(ValueError, match="allow_pickle"):
            prepared.array  # noqa: B018


def test_a_full_service_is_an_error_where_there_is_no_patience() -> None:
    reply = Reply(503, b'{"title": "t", "detail": "full"}', {"Retry-After": "2"})
    with (
        receiving(lambda *_: reply) as receiver,
        gpuprep.Client(receiver.url, "t", patience=0) as client,
        pytest.raises(ServiceError, match="full"),
    ):
        client.process(b"x", name="a.nii")
    assert len(receiver.received) == 1
    with pytest.raises(UsageError, match="root and path"):
        client.process()
    with pytest.raises(UsageError, match="root and path"):
        client.process(b"x", root="data")
