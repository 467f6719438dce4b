"""Stored cases for MONAI: dictionaries of ``MetaTensor`` that its transforms, loader and writers take.

Tensors are what ``LoadImaged`` and ``EnsureChannelFirstd`` give: float32, labels too, ``c, x, y, z``, with
the affine from index ``x, y, z`` to RAS mm. Label maps with values beyond 2²⁴ are float64, which keeps them.
MONAI is imported when a dataset is made.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.store.reader import Cohort, open_cohort
from gpuprep.store.stored_case import StoredCase
from gpuprep.training.choice import choose
from gpuprep.training.dataset import Key, PatchDataset, Sample
from gpuprep.training.patch import Position, find_label
from gpuprep.values.errors import UsageError
from gpuprep.values.exact import exactly
from gpuprep.values.geometry import Geometry

Transform = Callable[[Sample], Any]

_TAKEN = ("image", "case", "start", "epoch", "number")  # keys of a sample that no label may have


class MonaiCases:
    """Whole volumes, case by case: the ``data`` of ``monai.data.Dataset``, ``CacheDataset`` and the like.

    A sample has ``image`` (absent for cases of labels only), each label map by its name, and ``case``.
    """

    def __init__(
        self,
        cohort: Cohort | str | Path,
        *,
        cases: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        transform: Transform | None = None,
    ) -> None:
        """Choose what is read.

        Args:
            cohort: A cohort or its folder.
            cases: Ids of the cases to use; None for all that have the label maps, as in ``PatchDataset``.
            labels: Names of label maps to read with the image; None for all that the cohort agrees on.
            transform: MONAI's, applied to every sample.

        Raises:
            UsageError: MONAI is not installed, there is no such case, a case lacks what was asked for, or
                a label's name is taken.
        """
        _import_monai()
        _check_names(labels or ())
        self.cohort = cohort if isinstance(cohort, Cohort) else open_cohort(cohort)
        choice = choose(self.cohort, cases, labels)
        self.ids, self.labels, self.channels = choice.ids, choice.labels, choice.channels
        self.classes = choice.classes
        self._dtypes = {name: choice.float_dtype(name) for name in self.labels}
        self.transform = transform
        _check_names(self.labels)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Any:
        """One case; raises IndexError beyond the last, CorruptStoreError for damage."""
        case = self.cohort[self.ids[index]]
        arrays = {name: np.asarray(find_label(case, name)) for name in self.labels}
        if case.image is not None:
            arrays = {"image": np.asarray(case.image), **arrays}
        sample: Sample = {"case": case.id, **_as_tensors(arrays, case, case.geometry, self._dtypes)}
        return sample if self.transform is None else self.transform(sample)


class MonaiPatches(PatchDataset):
    """A ``PatchDataset`` for MONAI: the same patches in the same order, as ``MetaTensor``.

        patches = MonaiPatches("out", patch=(96, 96, 96), transform=Compose([...]))
        loader = monai.data.DataLoader(patches, batch_size=2, sampler=PatchSampler(patches))

    ``PatchLoader`` and ``PatchStream`` take it too. A sample has ``image``, each label map by its name,
    ``case``, ``start``, ``epoch`` and ``number``; the affine is the patch's own. Random transforms get the
    sample's seed, so that augmentation too is the same for any number of workers; reading ahead with several
    threads is not for them.
    """

    def __init__(
        self,
        cohort: Cohort | str | Path,
        *,
        patch: Position,
        transform: Transform | None = None,
        **choices: Any,
    ) -> None:
        """Choose what is read.

        Args:
            cohort: A cohort or its folder.
            patch: Voxels ``z, y, x``; tensors have them as ``x, y, z``.
            transform: MONAI's, applied to every sample.
            choices: The other arguments of ``PatchDataset``.

        Raises:
            UsageError: as ``PatchDataset``, or MONAI is not installed, or a label's name is taken.
        """
        self.collate = _import_monai().list_data_collate
        super().__init__(cohort, patch=patch, **choices)
        self.transform = transform
        _check_names(self.labels)
        self._floats = {
            name: self.choice.float_dtype(name, self.label_padding) for name in self.labels
        }

    def __getitem__(self, key: int | Key) -> Any:
        """One sample, or what the transform makes of it."""
        sample = super().__getitem__(key)
        case, start = self.cohort[sample["case"]], sample["start"].tolist()
        grid = case.geometry.resampled(self.pool.patch, (1.0, 1.0, 1.0), start)
        arrays = sample.pop("labels")
        if "image" in sample:
            arrays = {"image": sample["image"], **arrays}
        sample |= _as_tensors(arrays, case, grid, self._floats)
        if self.transform is None:
            return sample
        if hasattr(self.transform, "set_random_state"):
            turn = self.plan.turn(sample["epoch"], sample["number"])
            self.transform.set_random_state(seed=turn.transform_seed)
        return self.transform(sample)


def _as_tensors(
    arrays: dict[str, NDArray[Any]],
    case: StoredCase,
    geometry: Geometry,
    dtypes: Mapping[str, DTypeLike],
) -> dict[str, object]:
    """Arrays ``z, y, x`` or ``c, z, y, x`` on one grid as tensors that know where they lie.

    They are float32, or what ``dtypes`` says of a label map.
    """
    monai = _import_monai()
    affine = geometry.affine_ras
    tensors = {}
    for name, array in arrays.items():
        channels = array.reshape(-1, *geometry.shape).transpose(0, 3, 2, 1)
        meta = {
            "filename_or_obj": str(case.path),
            "original_affine": affine.copy(),
            "original_channel_dim": 0,
            "space": "RAS",
            "spatial_shape": np.array(geometry.size),
        }
        if name in dtypes:
            channels = exactly(channels, dtypes[name], f"case {case.id}, label {name}")
        voxels = np.ascontiguousarray(channels, dtypes.get(name, np.float32))
        tensors[name] = monai.MetaTensor(voxels, affine=affine.copy(), meta=meta)
    return tensors


def _check_names(labels: Sequence[str]) -> None:
    for name in labels:
        if name in _TAKEN:
            raise UsageError(
                f"a label map called {name!r} would take the place of the sample's {name}",
                advice="leave it out with labels=[…], or read it with PatchDataset",
            )


def _import_monai() -> ModuleType:
    try:
        return importlib.import_module("monai.data")
    except ImportError as error:
        raise UsageError(
            "samples for MONAI need monai, which is not installed",
            advice="pip install 'gpuprep[monai]', or use PatchDataset, whose samples are plain arrays",
        ) from error
