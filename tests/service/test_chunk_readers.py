"""Other software reads exact values over HTTP: zarr-python in two ways, and tensorstore; also as float32."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest
import zarr
from support.half_precision import LABEL, by_obstore, by_tensorstore, half, store_half
from support.stored import SHAPES, store_cohort, voxels_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_cohort(tmp_path_factory.mktemp("served") / "out")


def test_zarr_and_tensorstore_read_exact_voxels(chunks, root):
    url = chunks.share("demo", root) + "/cases/case_1.zarr"
    image, label = voxels_of(1)
    for name, voxels in (("0", image), ("labels/organ/0", label)):
        np.testing.assert_array_equal(by_obstore(url)[name][...], voxels)
        np.testing.assert_array_equal(by_tensorstore(f"{url}/{name}"), voxels)


def test_zarr_reads_by_fsspec(chunks, root):
    pytest.importorskip("aiohttp")
    url = chunks.share("demo", root) + "/cases/case_2.zarr"
    group = zarr.open_group(url, mode="r")
    np.testing.assert_array_equal(group["0"][...], voxels_of(2)[0])
    np.testing.assert_array_equal(group["0"][1, 3:9, 2, ::2], voxels_of(2)[0][1, 3:9, 2, ::2])


def test_a_reader_asks_for_ranges_and_not_for_shards(chunks, root):
    url = chunks.share("demo", root) + "/cases/case_3.zarr"
    by_obstore(url)["0"][0, :4, :4, :4]
    shards = [asked for _, path, asked in chunks.seen if "/c." in path]
    assert shards
    assert all(asked.startswith("bytes=") for asked in shards)


@pytest.mark.parametrize("channels", [(), (2,)])
def test_half_precision_comes_as_float32_with_the_same_values(chunks, tmp_path, channels):
    image = half(channels)
    store_half(tmp_path, image)
    url = chunks.share("half", tmp_path).replace("/zarr/", "/zarr32/") + "/cases/half.zarr"
    for voxels in (by_obstore(url)["0"][...], by_tensorstore(f"{url}/0")):
        assert voxels.dtype == np.float32
        bits = image.astype(np.float32).view(np.uint32)
        np.testing.assert_array_equal(voxels.view(np.uint32), bits)
    label = by_obstore(url)["labels/organs/0"]
    assert label.dtype == np.uint8
    np.testing.assert_array_equal(label[...], LABEL)


def test_the_wide_view_has_the_same_groups_and_words(chunks, tmp_path):
    store_half(tmp_path, half())
    narrow = chunks.share("half", tmp_path)
    wide = narrow.replace("/zarr/", "/zarr32/")
    with httpx.Client(trust_env=False) as web:
        for name in ("zarr.json", "labels/zarr.json", "labels/organs/zarr.json"):
            path = f"cases/half.zarr/{name}"
            assert web.get(f"{narrow}/{path}").json() == web.get(f"{wide}/{path}").json()
        path = "cases/half.zarr/0/zarr.json"
        one, other = web.get(f"{narrow}/{path}").json(), web.get(f"{wide}/{path}").json()
        told = ("shape", "dimension_names", "attributes", "fill_value", "chunk_key_encoding")
        assert {key: one[key] for key in told} == {key: other[key] for key in told}
        for own in ("record.json", "labels/organs/0/locations.npy"):
            assert web.get(f"{wide}/cases/half.zarr/{own}").status_code == 404
        assert web.get(f"{wide}/gpuprep.json").status_code == 404
        assert list(web.get(f"{wide}/cases").json()["cases"]) == ["half"]


def test_a_wide_chunk_has_a_tag_ranges_and_an_end(chunks, tmp_path):
    store_half(tmp_path, half())
    url = chunks.share("half", tmp_path).replace("/zarr/", "/zarr32/") + "/cases/half.zarr/0"
    with httpx.Client(trust_env=False) as web:
        first, again = web.get(f"{url}/c.1.0.3"), web.get(f"{url}/c.1.0.3")
        assert first.headers["ETag"] == again.headers["ETag"]
        assert web.head(f"{url}/c.1.0.3").headers["Content-Length"] == str(len(first.content))
        part = web.get(f"{url}/c.1.0.3", headers={"Range": "bytes=-9"})
        assert (part.status_code, part.content) == (206, first.content[-9:])
        same = web.get(f"{url}/c.1.0.3", headers={"If-None-Match": first.headers["ETag"]})
        assert same.status_code == 304
        for absent in ("c.0.1.0", "c.3.0.0", "c.999999999.0.0", "c.0.0", "c.0.0.0.0", "c.-1.0.0"):
            assert web.get(f"{url}/{absent}").status_code == 404, absent


def test_a_replaced_case_is_widened_anew(chunks, tmp_path):
    url = chunks.share("half", tmp_path).replace("/zarr/", "/zarr32/") + "/cases/half.zarr"
    for number in range(2):
        image = half()
        store_half(tmp_path / f"made_{number}", image)
        case = tmp_path / "cases/half.zarr"
        if number:
            case.rename(tmp_path / "away")
        case.parent.mkdir(exist_ok=True)
        (tmp_path / f"made_{number}/cases/half.zarr").rename(case)
        np.testing.assert_array_equal(by_obstore(url)["0"][...], image.astype("f4"))


def test_damage_is_told_and_names_no_folder(chunks, tmp_path):
    store_half(tmp_path, half())
    path = tmp_path / "cases/half.zarr/0/c.0.0.0"
    content = bytearray(path.read_bytes())
    content[20] ^= 255
    path.write_bytes(content)
    url = chunks.share("half", tmp_path).replace("/zarr/", "/zarr32/") + "/cases/half.zarr/0"
    with httpx.Client(trust_env=False) as web:
        answers = [
            web.get(f"{url}/c.{z}.{y}.{x}") for z in range(3) for y in range(3) for x in range(5)
        ]
    broken = [answer for answer in answers if answer.status_code == 500]
    assert len(broken) == 1
    assert "damaged" in broken[0].text
    assert str(tmp_path) not in broken[0].text


def test_a_level_of_another_dtype_is_passed_on(chunks, root):
    url = chunks.share("demo", root).replace("/zarr/", "/zarr32/") + "/cases/case_4.zarr"
    assert by_obstore(url)["0"].shape == (2, *SHAPES[4])
    np.testing.assert_array_equal(by_tensorstore(f"{url}/0"), voxels_of(4)[0])
    document = json.loads((root / "cases/case_4.zarr/0/zarr.json").read_bytes())
    with httpx.Client(trust_env=False) as web:
        assert web.get(f"{url}/0/zarr.json").json() == document


ZARRITA = """
import * as zarr from "zarrita";
const store = zarr.withRangeCoalescing(new zarr.FetchStore(process.argv[2]));
const array = await zarr.open(store, { kind: "array" });
const { data } = await zarr.get(array);
process.stdout.write(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64"));
"""


@pytest.mark.slow
def test_zarrita_reads_by_ranges_and_widened(chunks, root, tmp_path):
    if shutil.which("npm") is None:
        pytest.skip("needs node and npm")
    package = tmp_path / "node"
    package.mkdir()
    done = subprocess.run(
        ["npm", "install", "--prefix", str(package), "zarrita@0.7.5"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("npm gives no zarrita")
    script = package / "read.mjs"
    script.write_text(ZARRITA)
    image = half()
    store_half(tmp_path / "out", image)
    wide = chunks.share("half", tmp_path / "out").replace("/zarr/", "/zarr32/")
    plain = chunks.share("demo", root)
    for url, voxels in (
        (f"{wide}/cases/half.zarr/0", image.astype("f4")),
        (f"{wide}/cases/half.zarr/labels/organs/0", LABEL),
        (f"{plain}/cases/case_1.zarr/0", voxels_of(1)[0]),
    ):
        read = subprocess.run(["node", str(script), url], capture_output=True, check=True)
        assert base64.b64decode(read.stdout) == voxels.tobytes()
