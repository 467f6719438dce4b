"""A stored case of float16 with every kind of number, and other software that reads an array over HTTP."""

from pathlib import Path

import numpy as np
import tensorstore
import zarr

from gpuprep.store.case import write_case
from gpuprep.store.layout import case_folder
from gpuprep.store.record import write_record
from gpuprep.values.geometry import Geometry

SHAPE = (37, 33, 65)
_RANDOM = np.random.default_rng(0)
LABEL = np.repeat(_RANDOM.integers(0, 3, (*SHAPE[:2], 5)), 13, 2).astype("u1")


def half(channels: tuple[int, ...] = ()) -> np.ndarray:
    """Noise with chunks of zeros, infinities, NaN, −0 and the smallest and largest numbers."""
    image = (_RANDOM.normal(size=(*channels, *SHAPE)) * 50).astype("f2")
    image[..., :16, :, :40] = 0
    image[..., 5, 6, 7] = -0.0  # all that its chunk has
    image[..., 20, 3, :6] = [np.inf, -np.inf, np.nan, -0.0, 6e-8, 65504]
    return image


def store_half(root: Path, image: np.ndarray) -> None:
    """Store it as the case ``half``, in chunks of 16, with the label map ``organs``."""
    folder = case_folder(root, "half")
    grid = Geometry(SHAPE, (0.5, 0.75, 2.0), (-10.0, 20.0, 30.5))
    more = {"geometry": grid, "chunk": 16, "durable": False}
    files = write_case(folder, image=image, labels={"organs": LABEL}, **more)
    write_record(folder, {"files": files}, durable=False)


def by_obstore(url: str) -> zarr.Group:
    """The group at a URL as zarr-python opens it."""
    from obstore.store import HTTPStore
    from zarr.storage import ObjectStore

    store = HTTPStore.from_url(url, client_options={"allow_http": True})
    return zarr.open_group(ObjectStore(store, read_only=True), mode="r")


def by_tensorstore(url: str) -> np.ndarray:
    """The voxels of the array at a URL as tensorstore reads them."""
    spec = {"driver": "zarr3", "kvstore": {"driver": "http", "base_url": f"{url}/"}}
    return tensorstore.open(spec, read=True).result().read().result()
