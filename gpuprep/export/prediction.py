"""Any array on a case's grid (a prediction, as a rule) to a file, on that grid or on the source's.

Arrays of integers are label maps. Arrays of fractions are maps of values, such as probabilities, one
channel or several, and go by linear interpolation.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuprep.export.case import Exported, find_case, write_exported
from gpuprep.export.files import SUFFIXES, check_target
from gpuprep.export.native import LabelRule, to_native
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.store.array import StoredArray
from gpuprep.store.layout import GROUP_FILE
from gpuprep.store.metadata import parse_document
from gpuprep.store.places import to_place
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.case import Source
from gpuprep.values.errors import GpuprepError, UsageError
from gpuprep.values.geometry import Geometry
from gpuprep.values.volume import Volume

_SAME_GRID_MM = 0.01  # at any corner; files keep their grid in float32


class Placed(NamedTuple):
    """Voxels ``z, y, x`` or ``c, z, y, x`` and the grid of their last three axes, None where unknown."""

    array: NDArray[Any]
    geometry: Geometry | None


def export_prediction(
    output: Path,
    case_id: str,
    file: Path,
    prediction: Path,
    *,
    native: bool = False,
    interpolation: LabelRule = "linear",
    outside: float | None = None,
    overwrite: bool = False,
    output_name: str | None = None,
) -> Exported:
    """Write an array on a case's grid to a file that every medical viewer opens.

    >>> case = find_case(Path("cohort"), "volume-0")
    >>> np.save("predicted.npy", np.zeros(case.geometry.shape, np.uint8))
    >>> done = export_prediction(
    ...     Path("cohort"), "volume-0", Path("predicted.nii.gz"), Path("predicted.npy"), native=True
    ... )
    >>> done.geometry.describe()
    '40×36×20 voxels (x×y×z) of 0.8×0.8×1.6 mm, origin (0, -10, -30), RAS'

    Args:
        output: the cohort's folder.
        file: the target; its suffix (.nii, .nii.gz, .mha) chooses the format.
        prediction: a .npy file, a .nii, .nii.gz or .mha file, or the folder of a Zarr array.
        native: bring it to the grid of the case's source file.
        interpolation: of labels that are brought back.
        outside: what the source's grid holds outside the crop (see ``to_native``).
        overwrite: replace a file that is there.
        output_name: the output that it is a prediction of, where cases have several; by default the first.

    Raises:
        UsageError: the prediction cannot be read, is not finite or does not lie on the case's grid, or
            as for ``export_case``.
        CorruptStoreError: bytes of the case or of the prediction are damaged.
    """
    check_target(file, overwrite=overwrite)
    case = find_case(output, case_id, output_name)
    array = _on_grid(load_prediction(prediction), case, prediction)
    geometry = case.geometry
    if native:
        array, geometry = prediction_to_native(
            case, array, interpolation=interpolation, outside=outside
        )
    return write_exported(array, geometry, file)


def prediction_to_native(
    case: StoredCase,
    array: NDArray[Any],
    *,
    interpolation: LabelRule = "linear",
    outside: float | None = None,
) -> tuple[NDArray[Any], Geometry]:
    """An array on the grid of a stored case, back on the grid of the case's source file.

    >>> case = find_case(Path("cohort"), "volume-0")
    >>> voxels, geometry = prediction_to_native(case, np.zeros(case.geometry.shape, np.uint8))
    >>> case.geometry.size, geometry.size
    ((32, 29, 21), (40, 36, 20))

    Args:
        case: the stored case that the array belongs to.
        array: ``z, y, x`` or ``c, z, y, x``; integers (or booleans) are labels.
        interpolation: of labels.
        outside: the value outside the crop; by default 0 for labels and each channel's own minimum.

    Returns:
        The voxels and their geometry, which equals that of the source file.

    Raises:
        UsageError: the array does not have the case's shape, holds neither integers nor fractions, or is
            not finite.
        CorruptStoreError: the case's record is damaged.
    """
    _check_voxels(array, case, "the array")
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    volumes = [
        to_native(
            Volume(channel, case.geometry),
            case.record,
            label=array.dtype.kind in "iu",
            interpolation=interpolation,
            outside=outside,
        )
        for channel in array.reshape(-1, *array.shape[-3:])
    ]
    whole = np.stack([volume.array for volume in volumes]) if array.ndim == 4 else volumes[0].array
    return whole, volumes[0].geometry


def load_prediction(path: Path) -> Placed:
    """Read an array from a .npy, .nii, .nii.gz or .mha file or a Zarr array's folder.

    Raises:
        UsageError: it is none of them or cannot be read; the message says why.
    """
    try:
        if path.is_dir():
            return _load_zarr(path)
        if path.suffix.lower() == ".npy":
            return Placed(np.load(path, mmap_mode="r", allow_pickle=False), None)
        if path.name.lower().endswith(SUFFIXES):
            return _load_scan(path)
    except GpuprepError as error:
        raise UsageError(f"{path}: {error.message}", advice=error.advice) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: {error}", advice="give a whole, readable file") from error
    raise UsageError(
        f"{path}: neither a Zarr array nor a file known by its suffix",
        advice=f"give a .npy file, {', '.join(SUFFIXES)}, or the folder that stitch_into wrote",
    )


def _load_zarr(folder: Path) -> Placed:
    folder = folder.absolute()
    array = StoredArray(folder.parent, folder.name)
    document = parse_document(to_place(folder).document(GROUP_FILE), str(folder))
    words = document.get("attributes", {}).get("gpuprep", {}).get("geometry")
    return Placed(np.asarray(array), None if words is None else Geometry.from_json(words))


def _load_scan(file: Path) -> Placed:
    with Sandbox() as sandbox:
        scan = sandbox.read(Source(str(file)))
    for finding in scan.findings:
        if finding.code == "W_PRECISION":
            raise UsageError(
                finding.message,
                advice="give a .npy file or a Zarr array, or smaller numbers",
            )
    arrays = [volume.array for volume in scan.volumes]
    return Placed(arrays[0] if len(arrays) == 1 else np.stack(arrays), scan.geometry)


def _on_grid(placed: Placed, case: StoredCase, path: Path) -> NDArray[Any]:
    """The voxels in the axis order of the case, if their grid is the case's."""
    array, geometry = placed
    if geometry is not None:
        geometry, turn = geometry.reorient(case.geometry.orientation)
        channels = [turn.view(channel) for channel in array.reshape(-1, *array.shape[-3:])]
        array = np.stack(channels) if array.ndim == 4 else channels[0]
        if not geometry.distance(case.geometry) <= _SAME_GRID_MM:
            of = f"output {case.output} of " if case.output else ""
            other = ", or name its output" if case.output else ""
            raise UsageError(
                f"{path} lies on {geometry.describe()}; {of}case {case.id} on {case.geometry.describe()}",
                advice=f"give the prediction made from this stored case{other}",
            )
    _check_voxels(array, case, str(path))
    return array


def _check_voxels(array: NDArray[Any], case: StoredCase, name: str) -> None:
    if array.ndim not in (3, 4) or array.shape[-3:] != case.geometry.shape:
        raise UsageError(
            f"{name} has shape {array.shape}, case {case.id} has {case.geometry.shape} (z, y, x)",
            advice="give z, y, x or c, z, y, x on the case's grid",
        )
    if array.dtype.kind not in "biuf":
        raise UsageError(f"{name} holds {array.dtype}", advice="give integers or fractions")
    if array.dtype.kind == "f":
        planes = array.reshape(-1, *array.shape[-2:])
        wrong = array.size - sum(int(np.count_nonzero(np.isfinite(plane))) for plane in planes)
        if wrong:
            raise UsageError(
                f"{name} for case {case.id} is not finite in {wrong:,} of {array.size:,} values",
                advice="replace NaN and infinities, which would spread over their neighbours",
            )
