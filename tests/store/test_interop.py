"""Foreign software on our cases: zarr-python, tensorstore and zarrs read the voxels, OME models the words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import zarr

from gpuprep.store.case import write_case
from gpuprep.store.codecs import PRESETS
from gpuprep.values.geometry import Geometry

SHAPE = (37, 33, 65)
GRID = Geometry(SHAPE, (0.5, 0.75, 2.0), (-10.0, 20.0, 30.5))
RANDOM = np.random.default_rng(0)
LABEL = np.repeat(RANDOM.integers(0, 3, (*SHAPE[:2], 5)), 13, 2).astype("u1")


def image_of(dtype: str, channels: tuple[int, ...]) -> np.ndarray:
    image = (RANDOM.normal(size=(*channels, *SHAPE)) * 50).astype(dtype)
    image[..., :16, :, :40] = 0
    return image


@pytest.fixture
def case(tmp_path: Path) -> Path:
    names = {"organs": {1: "liver", 2: "tumour"}}
    image = image_of("f2", (2,))
    write_case(
        tmp_path,
        image=image,
        labels={"organs": LABEL, "body": LABEL},
        geometry=GRID,
        chunk=16,
        channel_names=["T1", "T2"],
        label_names=names,
        durable=False,
    )
    return tmp_path


@pytest.mark.parametrize("channels", [(), (2,)])
@pytest.mark.parametrize("codec", PRESETS)
@pytest.mark.parametrize("dtype", ["i1", "i2", "f2", "f4"])
def test_zarr_and_tensorstore_read_the_same_voxels(tmp_path, dtype, codec, channels):
    image = image_of(dtype, channels)
    write_case(
        tmp_path,
        image=image,
        labels={"organs": LABEL},
        geometry=GRID,
        chunk=16,
        codec=codec,
        durable=False,
    )
    for name, voxels in (("0", image), ("labels/organs/0", LABEL)):
        theirs = zarr.open_array(tmp_path / name, mode="r")
        spec = {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": f"{tmp_path / name}/"},
        }
        other = tensorstore.open(spec, open=True, read=True).result()
        assert theirs.dtype == voxels.dtype
        np.testing.assert_array_equal(theirs[...], voxels)
        np.testing.assert_array_equal(other.read().result(), voxels)
        np.testing.assert_array_equal(
            other[..., 3:20, 5:9, 1:50].read().result(), theirs[..., 3:20, 5:9, 1:50]
        )


@pytest.mark.parametrize("codec", PRESETS)
@pytest.mark.parametrize("dtype", ["i1", "i2", "f2", "f4"])
def test_zarrs_reads_the_same_voxels(tmp_path, dtype, codec):
    pytest.importorskip("zarrs")
    image = image_of(dtype, (2,))
    write_case(
        tmp_path, image=image, labels={}, geometry=GRID, chunk=16, codec=codec, durable=False
    )
    pipeline = {
        "codec_pipeline.path": "zarrs.ZarrsCodecPipeline",
        "codec_pipeline.strict": True,  # no way back to Python
    }
    with zarr.config.set(pipeline):
        theirs = zarr.open_array(tmp_path / "0", mode="r")
        np.testing.assert_array_equal(theirs[...], image)
        part = (slice(0, 1), slice(3, 20), slice(5, 9), slice(1, 50))
        np.testing.assert_array_equal(theirs[part], image[part])


def test_ome_zarr_models_accepts_image_and_labels(case):
    models = pytest.importorskip("ome_zarr_models.v05")
    group = zarr.open_group(case, mode="r")
    image = models.Image.from_zarr(group)
    (multiscale,) = image.attributes.ome.multiscales
    assert [axis.name for axis in multiscale.axes] == ["c", "z", "y", "x"]
    assert models.Labels.from_zarr(group["labels"]).attributes.ome.labels == ["organs", "body"]
    label = models.ImageLabel.from_zarr(group["labels/organs"])
    properties = label.attributes.ome.image_label.properties
    assert [entry.label_value for entry in properties] == [1, 2]


def test_yaozarrs_accepts_every_group(case):
    yaozarrs = pytest.importorskip("yaozarrs")
    yaozarrs.validate_zarr_store(str(case))
    for name in (".", "labels", "labels/organs", "labels/body"):
        ome = json.loads((case / name / "zarr.json").read_text())["attributes"]
        assert yaozarrs.validate_ome_object(ome["ome"]).version == "0.5"


def test_zarr_lists_the_whole_case(case):
    members = dict(zarr.open_group(case, mode="r").members(max_depth=None))
    arrays = {name for name, member in members.items() if isinstance(member, zarr.Array)}
    assert arrays == {"0", "labels/organs/0", "labels/body/0"}
    assert members["0"].metadata.dimension_names == ("c", "z", "y", "x")
