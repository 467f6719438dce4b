"""What the CUDA stand-in promises: late streams in seeded order, memory of its own, statuses, failures."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from device.cpucuda.machine import Machine

# CuPy's destructors cannot give back what is of a lost device, and say so
UNHEARD = "ignore::pytest.PytestUnraisableExceptionWarning"
pytestmark = [pytest.mark.cpucuda, pytest.mark.filterwarnings(UNHEARD)]


@pytest.fixture
def cupy(cpucuda: Machine) -> Any:
    import cupy

    return cupy


def pinned(cupy: Any, values: Any) -> np.ndarray:
    """An array in page-locked memory."""
    array = np.asarray(values)
    memory = cupy.cuda.PinnedMemoryPointer(cupy.cuda.PinnedMemory(array.nbytes), 0)
    made = np.frombuffer(memory, array.dtype, array.size)
    made[...] = array
    return made


def upload(cupy: Any, source: np.ndarray, stream: Any) -> Any:
    with stream:
        target = cupy.empty(source.shape, source.dtype)
        target.data.copy_from_host_async(source.ctypes.data, source.nbytes, stream)
    return target


def test_a_pinned_copy_happens_when_it_is_waited_for(cupy: Any) -> None:
    stream, source = cupy.cuda.Stream(non_blocking=True), pinned(cupy, [1, 2, 3])
    target = upload(cupy, source, stream)
    source[:] = [7, 8, 9]  # too early: the copy is still to come
    stream.synchronize()
    assert cupy.asnumpy(target).tolist() == [7, 8, 9]
    source[:] = 0
    assert cupy.asnumpy(target).tolist() == [7, 8, 9]


def test_a_pageable_copy_has_taken_its_bytes_when_it_returns(cupy: Any) -> None:
    stream, source = cupy.cuda.Stream(non_blocking=True), np.array([1, 2, 3])
    target = upload(cupy, source, stream)
    source[:] = 0
    stream.synchronize()
    assert cupy.asnumpy(target).tolist() == [1, 2, 3]


def test_a_result_is_not_there_before_it_is_waited_for(cupy: Any) -> None:
    stream, out = cupy.cuda.Stream(non_blocking=True), pinned(cupy, [0, 0, 0])
    target = upload(cupy, np.array([1, 2, 3]), stream)
    with stream:
        target.data.copy_to_host_async(out.ctypes.data, out.nbytes, stream)
    assert out.tolist() == [0, 0, 0]
    stream.synchronize()
    assert out.tolist() == [1, 2, 3]


def test_a_stream_does_not_wait_for_another_unless_told_to(cupy: Any) -> None:
    first, second = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
    source = pinned(cupy, [5])
    for follows, expected in ((False, -0x34343434_34343435), (True, 5)):
        with first:
            shared = cupy.empty(1, np.int64)
        shared.data.copy_from_host_async(source.ctypes.data, 8, first)
        if follows:
            second.wait_event(first.record())
        out = pinned(cupy, [0])
        shared.data.copy_to_host_async(out.ctypes.data, 8, second)
        second.synchronize()
        assert out[0] == expected
        first.synchronize()
        cupy.get_default_memory_pool().free_all_blocks()


def test_the_default_stream_and_blocking_ones_wait_for_each_other(cupy: Any) -> None:
    source = pinned(cupy, [5])
    for non_blocking, expected in ((False, 5), (True, 0)):
        stream = cupy.cuda.Stream(non_blocking=non_blocking)
        shared = cupy.zeros(1, np.int64)
        cupy.cuda.Stream.null.synchronize()
        shared.data.copy_from_host_async(source.ctypes.data, 8, stream)
        assert int(cupy.asnumpy(shared)[0]) == expected


def orders(cupy: Any, machine: Machine, seed: int, eager: int = 3) -> list[tuple[int, int, str]]:
    """What happened of work in three streams, the third behind a place in the first."""
    machine.reset()
    machine.set(seed=seed, eager=eager, trace=1)
    streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(3)]
    arrays = [upload(cupy, pinned(cupy, [k]), stream) for k, stream in enumerate(streams)]
    streams[2].wait_event(streams[0].record())
    for _ in range(6):
        for stream, array in zip(streams, arrays, strict=True):
            with stream:
                array.data.memset_async(1, 8, stream)
    cupy.cuda.Device().synchronize()
    return machine.trace()


def test_order_depends_on_the_seed_and_on_nothing_else(cupy: Any, cpucuda: Machine) -> None:
    def shape(trace: list[tuple[int, int, str]]) -> tuple[tuple[int, str], ...]:
        first = min(stream for stream, _, _ in trace)
        return tuple((stream - first, what) for stream, _, what in trace)

    seen = {seed: shape(orders(cupy, cpucuda, seed)) for seed in range(20)}
    assert len(set(seen.values())) >= 15
    assert shape(orders(cupy, cpucuda, 7)) == seen[7]


def test_no_seed_breaks_the_order_of_a_stream_or_of_an_event(cupy: Any, cpucuda: Machine) -> None:
    for seed in range(20):
        trace = orders(cupy, cpucuda, seed)
        streams = sorted({stream for stream, _, _ in trace})
        for stream in streams:
            numbers = [number for own, number, _ in trace if own == stream]
            assert numbers == sorted(numbers)
        place = {(stream, what): k for k, (stream, _, what) in enumerate(trace)}
        assert place[streams[0], "record event"] < place[streams[-1], "wait event"]


def test_new_memory_is_full_of_a_pattern(cupy: Any) -> None:
    assert set(cupy.asnumpy(cupy.empty(1000, np.uint8)).tolist()) == {0xCB}


def test_memory_that_was_dropped_goes_to_the_next_array_of_its_stream_alone(cupy: Any) -> None:
    first, second = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
    with first:
        dropped = cupy.empty(1000, np.uint8).data.ptr
    with second:
        other = cupy.empty(1000, np.uint8)
    with first:
        again = cupy.empty(1000, np.uint8)
    assert again.data.ptr == dropped != other.data.ptr


TOUCH = """
import ctypes, cupy
array = cupy.zeros(8, cupy.uint8)
cupy.cuda.Device().synchronize()
ctypes.string_at({address}, 8)
"""


@pytest.mark.parametrize(("address", "caught"), [("array.data.ptr", True), ("bytes(8)", False)])
def test_the_host_cannot_touch_device_memory(address: str, caught: bool) -> None:
    command = [sys.executable, "-c", TOUCH.format(address=address)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode != 0) == caught
    assert ("the host touched device memory" in done.stderr) == caught


def test_memory_ends_and_comes_back(cupy: Any, cpucuda: Machine) -> None:
    cpucuda.set(memory=1 << 20)
    assert cupy.cuda.runtime.memGetInfo() == (1 << 20, 1 << 20)
    held = cupy.empty(1 << 19, np.uint8)
    assert cpucuda.device_bytes() == 1 << 19
    with pytest.raises(MemoryError):
        cupy.empty((1 << 19) + 1, np.uint8)
    del held
    cupy.empty((1 << 19) + 1, np.uint8)


def test_pinned_memory_ends_with_the_status_of_cuda(cupy: Any, cpucuda: Machine) -> None:
    cpucuda.set(pinned=8192)
    held = cupy.cuda.PinnedMemory(8192)
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="MemoryAllocation") as caught:
        cupy.cuda.PinnedMemory(1)
    assert caught.value.status == 2
    del held
    assert cpucuda.pinned_bytes() == 0
    cupy.cuda.PinnedMemory(8192)


def test_a_call_fails_at_its_nth_time(cupy: Any, cpucuda: Machine) -> None:
    cpucuda.fail("cudaHostAlloc", "cudaErrorMemoryAllocation", after=2, times=2)
    went = []
    for _ in range(6):
        try:
            cupy.cuda.PinnedMemory(4096)
            went.append(True)
        except cupy.cuda.runtime.CUDARuntimeError:
            went.append(False)
    assert went == [True, True, False, False, True, True]


@pytest.mark.parametrize(
    ("status", "stays"),
    [
        ("cudaErrorMemoryAllocation", False),
        ("cudaErrorInvalidValue", False),
        ("cudaErrorNotSupported", False),
        ("cudaErrorIllegalAddress", True),
        ("cudaErrorLaunchFailure", True),
        ("cudaErrorECCUncorrectable", True),
        ("cudaErrorUnknown", True),
    ],
)
def test_some_statuses_stay_and_others_do_not(
    cupy: Any, cpucuda: Machine, status: str, stays: bool
) -> None:
    stream = cupy.cuda.Stream(non_blocking=True)
    cpucuda.fail("cudaEventRecord", status)
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match=status):
        stream.record()
    if stays:
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match=status):
            stream.synchronize()
    else:
        stream.synchronize()


def test_work_that_fails_is_told_by_a_later_call(cupy: Any, cpucuda: Machine) -> None:
    cpucuda.fail("memset", "cudaErrorIllegalAddress")
    array = cupy.zeros(4)
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="illegal memory access"):
        cupy.cuda.Stream.null.synchronize()
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="IllegalAddress"):
        cupy.asnumpy(array)
    assert cpucuda.complaints() == ["memset ended with status 700"]


def test_a_device_that_another_process_has_fails_every_call(cupy: Any, cpucuda: Machine) -> None:
    cpucuda.fail("context", "cudaErrorDevicesUnavailable", times=0)
    assert cupy.cuda.is_available()
    for _ in range(2):
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="busy or unavailable"):
            cupy.cuda.runtime.memGetInfo()


def test_no_driver_is_no_device(cupy: Any, cpucuda: Machine) -> None:
    cpucuda.fail("cudaGetDeviceCount", "cudaErrorInsufficientDriver", times=0)
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="driver version is insufficient"):
        cupy.cuda.runtime.getDeviceCount()


def test_devices_are_numbered_as_the_environment_says(
    cupy: Any, cpucuda: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpucuda.set(devices=4)
    count = cupy.cuda.runtime.getDeviceCount
    assert count() == 4
    for named, visible in (("2", 1), ("0,3", 2), ("0,9,1", 1)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
        assert count() == visible


def test_devices_have_memory_and_sticky_statuses_of_their_own(cupy: Any, cpucuda: Machine) -> None:
    cpucuda.set(memory=1 << 20)
    with cupy.cuda.Device(1):
        held = cupy.empty(1 << 20, np.uint8)
        assert cupy.cuda.runtime.pointerGetAttributes(held.data.ptr).device == 1
        cpucuda.fail("cudaMemGetInfo", "cudaErrorIllegalAddress")
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError):
            cupy.cuda.runtime.memGetInfo()
    assert cupy.cuda.runtime.memGetInfo()[0] == 1 << 20
    with cupy.cuda.Device(1), pytest.raises(cupy.cuda.runtime.CUDARuntimeError):
        cupy.cuda.runtime.memGetInfo()


def test_work_for_one_device_does_not_go_to_another(cupy: Any, cpucuda: Machine) -> None:
    from gpuprep.kernels.loader import cuda_engine

    load, other = cuda_engine()._load, cupy.cuda.Device(1)
    array, function = cupy.zeros(4, np.uint8), load("labels").get_function("copy_uint8")
    with other, pytest.raises(cupy.cuda.driver.CUDADriverError, match="INVALID_HANDLE"):
        function((1,), (32,), tuple([array] * 8))
    assert cpucuda.complaints() == ["copy_uint8: its module was loaded on another device"]
    with other:
        load("labels").get_function("copy_uint8")((1,), (32,), tuple([array] * 8))
        with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="IllegalAddress"):
            cupy.cuda.Stream.null.synchronize()
    assert cpucuda.complaints()[0] == "copy_uint8: a pointer to memory of another device"


def test_limits_of_a_launch(cupy: Any, cpucuda: Machine) -> None:
    from gpuprep.kernels.loader import cuda_engine

    function = cuda_engine()._load("labels").get_function("copy_uint8")
    arguments = tuple([cupy.zeros(4, np.uint8)] * 8)
    for grid, block, shared, said in (
        ((1, 65536), (32,), 0, "a grid that no device takes"),
        ((1,), (1025,), 0, "a block that no device takes"),
        ((1,), (32,), 49153, "more than 48 KiB of shared memory without opting in"),
    ):
        with pytest.raises(cupy.cuda.driver.CUDADriverError, match="INVALID_VALUE"):
            function(grid, block, arguments, shared_mem=shared)
        assert cpucuda.complaints() == [f"copy_uint8: {said}"]
