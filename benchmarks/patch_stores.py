"""One store measured in a process of its own: save a volume, then read random patches of it.

``patches.py`` starts this file with a JSON request, waits for ``ready``, and answers with a line when the
reading may begin, so that several processes begin together. What it prints last is the result.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from timing import Spent, spent

Box = tuple[slice, ...]
Read = Callable[[Box], np.ndarray]

ABSENT = 3  # exit status: a library of this store is not installed
ROUNDS = 3  # of the same patches in one process
LOADED_EDGE, LOADER_WORKERS, LOADER_ROUNDS = 96, 2, 8
SCALE = 420.0  # HU in one standard deviation of the CT


class Gpuprep:
    """A case as gpuprep writes it; ``open`` keeps its files open, as a training run does."""

    def __init__(self, folder: Path, codec: str = "balanced", crc: str = "always") -> None:
        self.folder, self.codec, self.crc = folder / "case.zarr", codec, crc
        self.image = self.folder / "0/c.0.0.0"
        self.store = importlib.import_module("gpuprep.store.case")
        self.record = importlib.import_module("gpuprep.store.record")

    def save(self, image: np.ndarray, label: np.ndarray) -> None:
        from gpuprep.values.geometry import Geometry

        grid = Geometry(image.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
        words: dict[str, Any] = {"geometry": grid, "codec": self.codec, "durable": False}
        files = self.store.write_case(self.folder, image=image, labels={"label": label}, **words)
        self.record.write_record(self.folder, {"files": files}, durable=False)

    def open(self) -> Read:
        from gpuprep.store.stored_case import open_case

        return open_case(self.folder, crc=self.crc).image.__getitem__


class ZarrPython(Gpuprep):
    """The files of gpuprep, read by zarr-python."""

    def open(self) -> Read:
        import zarr

        return zarr.open_array(self.folder / "0", mode="r").__getitem__


class Tensorstore(Gpuprep):
    """The files of gpuprep, read by tensorstore on one thread."""

    def open(self) -> Read:
        import tensorstore

        limits = {"data_copy_concurrency": {"limit": 1}, "file_io_concurrency": {"limit": 1}}
        kvstore = {"driver": "file", "path": str(self.folder / "0")}
        words = {"driver": "zarr3", "kvstore": kvstore, "context": limits}
        array = tensorstore.open(words, read=True).result()
        return lambda box: array[box].read().result()


class Nnunet:
    """nnU-Net's dataset class with the parameters its preprocessor gives it; the array stays open."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.image = folder, folder / "case.b2nd"
        self.dataset = importlib.import_module("nnunetv2.training.dataloading.nnunet_dataset")

    def save(self, image: np.ndarray, label: np.ndarray) -> None:
        sizes = {}
        for suffix, array in (("", image), ("_seg", label)):
            found = self.dataset.comp_blosc2_params(
                (1, *image.shape), (128, 128, 128), array.itemsize
            )
            sizes[f"blocks{suffix}"], sizes[f"chunks{suffix}"] = found
        truncated = str(self.folder / "case")
        voxels = image[None], label[None].astype(np.int8)
        self.dataset.nnUNetDatasetBlosc2.save_case(*voxels, {}, truncated, **sizes)

    def open(self) -> Read:
        array = self._load()
        return lambda box: np.asarray(array[(slice(None), *box)])[0]

    def _load(self) -> Any:
        return self.dataset.nnUNetDatasetBlosc2(str(self.folder)).load_case("case")[0]


class NnunetPerPatch(Nnunet):
    """As nnU-Net's own data loader does: every patch loads the case (image, label, properties) anew."""

    def open(self) -> Read:
        cases = self.dataset.nnUNetDatasetBlosc2(str(self.folder))
        return lambda box: np.asarray(cases.load_case("case")[0][(slice(None), *box)])[0]


class Npy:
    """An uncompressed ``.npy``, mapped."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.image = folder, folder / "image.npy"

    def save(self, image: np.ndarray, label: np.ndarray) -> None:
        np.save(self.image, image)
        np.save(self.folder / "label.npy", label)

    def open(self) -> Read:
        array = np.load(self.image, mmap_mode="r")
        return lambda box: np.array(array[box])


class Persistent:
    """What MONAI's PersistentDataset does for each sample: ``torch.load`` of the whole case, then a crop."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "case.pt"
        self.torch = importlib.import_module("torch")

    def save(self, image: np.ndarray, label: np.ndarray) -> None:
        tensors = {key: self.torch.from_numpy(a) for key, a in (("image", image), ("label", label))}
        self.torch.save(tensors, self.image)

    def open(self) -> Read:
        return lambda box: self.torch.load(self.image, weights_only=True)["image"][box].numpy()


STORES = {each.__name__: each for each in (Gpuprep, ZarrPython, Tensorstore, Nnunet)}
STORES |= {each.__name__: each for each in (NnunetPerPatch, Npy, Persistent)}


def main(request: dict[str, Any]) -> None:
    """Do what ``patches.py`` asked for."""
    try:
        store = STORES[request["store"]](Path(request["folder"]), **request["options"])
        print(json.dumps(done(store, request)))
    except ImportError as error:
        print(error, file=sys.stderr)
        raise SystemExit(ABSENT) from None


def done(store: Any, request: dict[str, Any]) -> dict[str, Any]:
    """What a request asks for: ``save``, ``read``, or ``load`` through a DataLoader."""
    image = np.load(request["image"], mmap_mode="r")
    if request["do"] == "save":
        return save(store, converted(image, request["dtype"]))
    boxes = {
        edge: random_boxes(image.shape, edge, request["patches"], request["seed"])
        for edge in request["edges"]
    }
    load_them = request["do"] == "load"
    for edge in () if load_them else boxes:  # tensorstore must not have run before a fork
        check(store.open()(boxes[edge][0]), converted(image[boxes[edge][0]], request["dtype"]))
    print("ready", flush=True)
    sys.stdin.readline()
    if load_them:
        return load(store, boxes[LOADED_EDGE if LOADED_EDGE in boxes else max(boxes)])
    return {edge: read(store, each, cold=request["cold"]) for edge, each in boxes.items()}


def save(store: Any, voxels: np.ndarray) -> dict[str, Any]:
    """Save a volume, and as its label the voxels above their mean; seconds, and bytes of the image."""
    label = (voxels > voxels.mean(dtype=np.float64)).astype(np.uint8)
    _, took = spent(lambda: store.save(voxels, label))
    return {"cpu": took.cpu, "wall": took.wall, "bytes": store.image.stat().st_size}


def read(store: Any, boxes: list[Box], *, cold: bool) -> dict[str, Any]:
    """Milliseconds per patch in the best round, and patches per second of all rounds together.

    Args:
        store: One of ``STORES``.
        boxes: The patches.
        cold: Whether to drop the image from the page cache before each round.
    """
    took: list[Spent] = []
    read_patch = store.open()
    for _ in range(ROUNDS):
        if cold:
            del read_patch  # pages that are mapped stay in memory
            forget(store.image)
            read_patch = store.open()
        took.append(spent(lambda read=read_patch: [read(box) for box in boxes])[1])
    best = {field: min(getattr(each, field) for each in took) for field in ("cpu", "wall")}
    rate = len(boxes) * ROUNDS / sum(each.wall for each in took)
    return {**{f"{k}_ms": 1e3 * v / len(boxes) for k, v in best.items()}, "patches_per_s": rate}


def load(store: Any, boxes: list[Box]) -> dict[str, Any]:
    """Patches through PyTorch's DataLoader: per second, and CPU ms of all its processes per patch."""
    from torch.utils.data import DataLoader

    workers = {"num_workers": LOADER_WORKERS, "multiprocessing_context": "fork"}
    loader = DataLoader(Patches(store, boxes * LOADER_ROUNDS), batch_size=2, **workers)
    batches, took = spent(lambda: sum(1 for _ in loader))
    count = 2 * batches
    return {"patches_per_s": count / took.wall, "cpu_ms": 1e3 * took.cpu / count}


class Patches:
    """A map-style dataset; every worker opens the store for itself."""

    def __init__(self, store: Any, boxes: list[Box]) -> None:
        self.store, self.boxes = store, boxes
        self.read: Read | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, number: int) -> np.ndarray:
        self.read = self.read or self.store.open()
        return self.read(self.boxes[number])


def random_boxes(shape: tuple[int, ...], edge: int, count: int, seed: int) -> list[Box]:
    """Cubes anywhere in the volume, the same for every store."""
    random = np.random.default_rng(seed)
    corners = random.integers(0, [n - edge + 1 for n in shape], (count, len(shape)))
    return [tuple(slice(k, k + edge) for k in corner) for corner in corners.tolist()]


def forget(file: Path) -> None:
    """Drop a file's pages from the page cache."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def check(patch: np.ndarray, expected: np.ndarray) -> None:
    """Every store gives every voxel back."""
    if patch.dtype != expected.dtype or not np.array_equal(patch, expected):
        raise RuntimeError("the patch read is not the one that was stored")


def converted(voxels: np.ndarray, dtype: str) -> np.ndarray:
    """Normal scores as ``dtype``; as int16 they are stretched to steps of one, as HU are."""
    if dtype == "int16":
        return np.rint(voxels * SCALE).astype(np.int16)
    return np.asarray(voxels, dtype)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
