"""A device's link and gate: what goes up comes down, memory stays flat, cases wait their turn."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernels.cuda_on_cpu.cpu_module import missing
from support.numpy_driver import BrokenContext, NumpyDriver

from gpuprep.device.link import Gate, Link
from gpuprep.values.errors import DeviceLost

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "kernels run here")

STEPS = st.sampled_from([1, -1, 2, -3])


def link_over(driver: NumpyDriver, piece_bytes: int = 1 << 12) -> Link:
    return Link(driver, Gate(driver.free_memory()), piece_bytes=piece_bytes)


def there_and_back(link: Link, array: np.ndarray) -> np.ndarray:
    """Up, through a contiguous copy on the device, and down."""
    with link.session(array.nbytes):
        on_device = link.upload(array)
        link.wait()
        assert on_device.shape == array.shape
        straight = link.engine.xp.asarray(on_device)
        out = link.empty(array.shape, array.dtype)
        link.download(straight, out)
    return out


@given(
    st.tuples(*[st.integers(1, 24)] * 3),
    st.tuples(STEPS, STEPS, STEPS),
    st.permutations(range(3)),
    st.sampled_from(["u1", "i2", "f4", "?"]),
    st.integers(16, 3000),
)
def test_any_view_arrives_as_it_is(shape, steps, order, kind, piece_bytes):
    whole = np.random.default_rng(1).integers(0, 2, shape).astype(kind)
    array = whole[tuple(slice(None, None, step) for step in steps)].transpose(order)
    out = there_and_back(link_over(NumpyDriver(), piece_bytes), array)
    np.testing.assert_array_equal(out, array)


def test_only_the_voxels_of_a_crop_travel():
    driver = NumpyDriver()
    crop = np.zeros((200, 100, 100), np.int16)[50:60, 10:30, 5:25]
    link = link_over(driver)
    with link.session(crop.nbytes):
        link.upload(crop)
    assert driver.arrays.peak == crop.nbytes


def test_turned_axes_are_strides_on_the_device_too():
    array = (
        np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)[::-1].transpose(2, 0, 1)[:, :, ::-1]
    )
    link = link_over(NumpyDriver())
    with link.session(array.nbytes):
        assert link.upload(array).strides == array.strides


def test_pinned_memory_stays_flat_over_many_cases():
    driver = NumpyDriver()
    link = link_over(driver)
    random = np.random.default_rng(2)
    seen = []
    for _ in range(60):
        arrays = [np.full(random.integers(8, 60, 3), 7, np.float16) for _ in range(3)]
        with link.session(0):
            for array in arrays:
                out = link.empty(array.shape, array.dtype)
                link.download(link.upload(array), out)
            link.wait()
            assert (out == 7).all()
        seen.append(driver.pinned_bytes)
    assert max(seen[10:]) <= 4 << 20
    assert driver.arrays.live == 0


def test_results_of_one_case_do_not_overlap():
    link = link_over(NumpyDriver())
    with link.session(0):
        outs = [link.empty((k + 1, 30, 30), np.int16) for k in range(40)]
        for k, out in enumerate(outs):
            out[...] = k
        assert all((out == k).all() for k, out in enumerate(outs))


def test_a_failed_device_is_told_apart_from_a_failed_case():
    driver = NumpyDriver()
    link = link_over(driver)
    with pytest.raises(ValueError, match="of the case"), link.session(0):
        raise ValueError("of the case")
    assert not link.lost
    driver.failing_after = 0
    with pytest.raises(DeviceLost, match="NumPy stopped working"), link.session(0):
        link.upload(np.zeros((9, 9, 9)))
    assert link.lost
    assert driver.failure(BrokenContext()) == "device"


def test_the_gate_keeps_cases_within_the_memory_and_in_order():
    gate = Gate(100)
    order, held, most = [], [], []
    first_in, go = threading.Event(), threading.Event()

    def case(name: str, needed: int) -> None:
        with gate.admitted(needed):
            held.append(needed)
            most.append(sum(held))
            order.append(name)
            if name == "first":
                first_in.set()
                go.wait(10)
            held.remove(needed)

    first = threading.Thread(target=case, args=("first", 60))
    first.start()
    assert first_in.wait(10)
    large = threading.Thread(target=case, args=("large", 80))
    large.start()
    while large.is_alive() and not gate._door.locked():
        pass
    small = threading.Thread(target=case, args=("small", 10))
    small.start()
    go.set()
    for thread in (first, large, small):
        thread.join(10)
    assert order == ["first", "large", "small"]  # the small one did not slip past the large one
    assert max(most) <= 100


def test_a_case_larger_than_the_device_goes_alone():
    with Gate(10).admitted(1000):
        pass
