"""The reader: indexes as NumPy does, survives fork, pickle and threads, and says what is damaged."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cohorts import write_pair

import gpuprep
from gpuprep.store import array as array_module
from gpuprep.store.array import StoredArray
from gpuprep.store.case import write_case
from gpuprep.store.layout import case_folder
from gpuprep.store.reader import open_cohort
from gpuprep.store.record import write_record
from gpuprep.store.stored_case import open_case
from gpuprep.values.errors import StoreError
from gpuprep.values.findings import Finding
from gpuprep.values.geometry import Geometry

pytestmark = pytest.mark.usefixtures("reads_here")

SHAPE = (21, 17, 34)
GRID = Geometry(SHAPE, (0.5, 0.75, 2.0), (-10.0, 20.0, 30.5))
IMAGE = np.random.default_rng(0).integers(-1000, 1000, (2, *SHAPE)).astype("i2")
IMAGE[:, 8:16] = 0
LABEL = (IMAGE[0] > 500).astype("u1")


def make_case(root: Path, case_id: str, **extra: Any) -> Path:
    folder = case_folder(root, case_id)
    files = write_case(
        folder,
        image=IMAGE,
        labels={"liver": LABEL, "left lung": LABEL},
        geometry=GRID,
        chunk=8,
        channel_names=["T1", "T2"],
        label_names={"liver": {1: "liver"}},
        durable=False,
    )
    write_record(folder, {"files": files, "attributes": {"site": "A"}, **extra}, durable=False)
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    for case_id in ("case_10", "case_2", "b ü"):
        make_case(folder, case_id)
    return folder


def axis_index(n: int) -> st.SearchStrategy[Any]:
    ends = st.none() | st.integers(-n - 3, n + 3)
    steps = st.none() | st.integers(-5, 5).filter(bool)
    return st.integers(-n, n - 1) | st.builds(slice, ends, ends, steps)


@st.composite
def indices(draw: st.DrawFn) -> Any:
    parts = [draw(axis_index(n)) for n in IMAGE.shape]
    if draw(st.booleans()):
        start = draw(st.integers(0, 4))
        stop = draw(st.integers(start, 4))
        return (*parts[:start], ..., *parts[stop:])
    count = draw(st.integers(0, 4))
    return parts[0] if count == 1 and draw(st.booleans()) else tuple(parts[:count])


@given(indices())
def test_indexing_is_that_of_numpy(root, index):
    expected = IMAGE[index]
    found = open_case(case_folder(root, "case_2")).image[index]
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "index",
    [
        2,
        -3,
        (0, 21),
        (0, 0, 0, 34),
        (0,) * 5,
        (..., ...),
        1.5,
        True,
        None,
        [0, 1],
        "x",
        np.array([1]),
    ],
)
def test_other_indices_raise_index_error(root, index):
    image = open_case(case_folder(root, "case_2")).image
    if isinstance(index, np.ndarray):
        assert image[int(index[0])].shape == SHAPE  # a scalar array is an integer to NumPy only
        index = np.array([1, 0])
    with pytest.raises(IndexError):
        image[index]


def test_array_protocol(root):
    image = open_case(case_folder(root, "case_2")).image
    assert (image.shape, image.ndim, len(image)) == (IMAGE.shape, 4, 2)
    assert image.chunks == (1, 8, 8, 8)
    np.testing.assert_array_equal(np.asarray(image), IMAGE)
    assert np.asarray(image, dtype="f4").dtype == np.float32
    with pytest.raises(ValueError, match="copy"):
        np.asarray(image, copy=False)


def test_boxes(root):
    image = open_case(case_folder(root, "case_2")).image
    box = image.read((0, 3, 0, 30), (2, 20, 17, 34))
    np.testing.assert_array_equal(box, IMAGE[:, 3:20, :, 30:])
    assert box.flags.c_contiguous
    assert box.flags.writeable
    assert image.read((0, 5, 5, 5), (0, 6, 6, 6)).shape == (0, 1, 1, 1)
    for start, stop in [((0, 0, 0, 0), (3, 1, 1, 1)), ((0, -1, 0, 0), (1, 1, 1, 1)), ((0,), (1,))]:
        with pytest.raises(IndexError, match="leaves the array"):
            image.read(start, stop)


def test_case_tells_what_it_is(tmp_path):
    odd = Finding("W_NAN", "3 voxels are NaN", values={"count": 3})
    case = open_case(make_case(tmp_path, "a", findings=[odd.to_json()], digest="abc"))
    assert case.id == "a"
    assert case.geometry == GRID
    assert case.channel_names == ("T1", "T2")
    assert case.attributes == {"site": "A"}
    assert dict(case.label_names["liver"]) == {1: "liver"}
    assert case.record["digest"] == "abc"
    assert case.findings == [odd]
    assert list(case.labels) == ["liver", "left lung"]
    np.testing.assert_array_equal(case.labels["left lung"], LABEL)


def test_columns_of_a_manifest_are_the_attributes_of_its_case(tmp_path):
    write_pair(tmp_path, 3)
    manifest = tmp_path / "cases.csv"
    manifest.write_text(
        "case_id,image,label,site,age\na,volume-3.nii.gz,segmentation-3.nii.gz,Basel,61\n"
    )
    assert gpuprep.run(manifest, tmp_path / "out", scheduler="serial").exit_code == 0
    case = gpuprep.open(tmp_path / "out")["a"]
    assert case.attributes == {"site": "Basel", "age": "61"}
    assert case.attributes == case.record["attributes"]


def test_labels_only_case_has_no_image(tmp_path):
    files = write_case(tmp_path, image=None, labels={"a": LABEL}, geometry=GRID, durable=False)
    write_record(tmp_path, {"files": files})
    assert open_case(tmp_path).image is None


def test_cohort_is_a_mapping_in_natural_order(root):
    (root / "cases/unfinished.zarr").mkdir(exist_ok=True)
    (root / "cases/stray.txt").touch()
    cohort = open_cohort(root)
    assert list(cohort) == ["b ü", "case_2", "case_10"]
    assert len(cohort) == 3
    assert cohort["b ü"].id == "b ü"
    assert cohort["case_2"] is cohort["case_2"]
    assert "unfinished" not in cohort
    for absent in ("unfinished", "none", "../cases/case_2", ""):
        assert absent not in cohort
        assert cohort.get(absent) is None
        with pytest.raises(KeyError):
            cohort[absent]


def test_folders_that_are_no_cohort_or_case(tmp_path):
    with pytest.raises(StoreError, match="no folder cases/"):
        open_cohort(tmp_path)
    with pytest.raises(StoreError, match=r"no record\.json"):
        open_case(tmp_path)


def test_pickle_opens_anew(root):
    cohort = open_cohort(root, crc="never")
    case = cohort["case_2"]
    np.testing.assert_array_equal(case.image[0], IMAGE[0])
    for copy in (pickle.loads(pickle.dumps(cohort))["case_2"], pickle.loads(pickle.dumps(case))):
        np.testing.assert_array_equal(copy.image[0], IMAGE[0])
    image = pickle.loads(pickle.dumps(case.image))
    np.testing.assert_array_equal(image[0], IMAGE[0])
    assert len(pickle.dumps(case)) < 1000


def test_threads_share_an_array(root):
    image = open_case(case_folder(root, "case_10")).image
    expected = IMAGE[:, 2:19, 1:15, 3:33]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: image[:, 2:19, 1:15, 3:33], range(64)))
    assert all((box == expected).all() for box in found)


def run_python(script: str, *arguments: str) -> str:
    """Run a script in a clean interpreter; fork is not for a process full of other libraries."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", textwrap.dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def test_forked_children_read_inherited_and_fresh_arrays(root):
    script = """
        import os, sys, zlib
        from gpuprep.store.reader import open_cohort
        cohort = open_cohort(sys.argv[1])
        expected = zlib.crc32(cohort["case_2"].image[...])
        children = []
        for _ in range(4):
            if (child := os.fork()) == 0:
                inherited = zlib.crc32(cohort["case_2"].image[...]) == expected
                fresh = zlib.crc32(open_cohort(sys.argv[1])["case_10"].image[...]) == expected
                os._exit(0 if inherited and fresh else 1)
            children.append(child)
        print([os.waitpid(child, 0)[1] for child in children])
    """
    assert run_python(script, str(root)).strip() == "[0, 0, 0, 0]"


def test_nothing_runs_or_stays_open(root):
    script = """
        import gc, os, sys, threading
        from gpuprep.store.reader import open_cohort
        before = len(os.listdir("/proc/self/fd"))
        cohort = open_cohort(sys.argv[1])
        for case in cohort.values():
            case.image[...]
        assert threading.active_count() == 1
        assert len(os.listdir("/proc/self/fd")) > before
        del cohort, case
        gc.collect()
        print(len(os.listdir("/proc/self/fd")) - before)
    """
    assert run_python(script, str(root)).strip() == "0"


def test_open_shards_are_bounded(root, monkeypatch):
    monkeypatch.setattr(array_module, "_OPEN_LIMIT", 2)
    images = [StoredArray(case_folder(root, "case_2"), "0") for _ in range(5)]
    for _ in range(2):
        for image in images:
            np.testing.assert_array_equal(image[0], IMAGE[0])
    assert sum(len(image._shards) for image in images) == 2


def test_relative_paths_survive_a_change_of_folder(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    cohort = open_cohort(".")
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(cohort["case_2"].image[1], IMAGE[1])
