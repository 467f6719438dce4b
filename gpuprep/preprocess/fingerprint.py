"""``fingerprint:`` of a config: a case's foreground counted for a plan; no arrays are stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.config.model import Config
from gpuprep.config.outputs import FingerprintRule
from gpuprep.ops.operations import HostOperations
from gpuprep.ops.value_counts import ValueCounts, count_values, draw_as_nnunet
from gpuprep.preprocess.measure import Measured, crop_box
from gpuprep.preprocess.record import describe, voxel_counts
from gpuprep.preprocess.task import CaseTask
from gpuprep.preprocess.writing import CaseWriter
from gpuprep.store.files import write_file
from gpuprep.store.layout import GROUP_FILE
from gpuprep.store.locations import to_npy
from gpuprep.store.metadata import group_document, to_text
from gpuprep.values.agreement import Classes
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Findings
from gpuprep.values.grids import GridMapping

FOLDER = "fingerprint"
_FEW = 1024  # distinct values that the record itself holds


def count_case(writer: CaseWriter, findings: Findings) -> None:
    """Count the foreground of a case, and give the writer its record and the files of long counts.

    Raises:
        InputError: the policy makes an error of what was found.
        StoreError: the disk refuses.
        RunStopped: it is full.
    """
    task, assembled, config, watch = writer.task, writer.assembled, writer.config, writer.watch
    assert config.fingerprint is not None
    _refuse_nan(findings, config)
    host = HostOperations(task.threads)
    with watch("measure"):
        channels = [host.hold(channel) for channel in assembled.channels]
        labels = {name: host.hold(label) for name, label in assembled.labels.items()}
        maps = list(labels.values())
        box = crop_box(assembled.geometry, channels, maps, host, config, findings)
        measured = Measured(assembled, box, (), labels, (), host, config)
        counted = list(_counted(task, measured))
        if not any(each.count for each in counted):
            findings.report("W_EMPTY_FOREGROUND", "the case has no foreground to count")
        counts = {name: voxel_counts(label[box]) for name, label in assembled.labels.items()}
    record = describe(task, measured, GridMapping(measured.geometry.shape), None, (), findings)
    with watch("store"):
        rows = _write(counted, writer)
    rule = config.fingerprint.model_dump(mode="json")
    writer.records[""] = {**record, "labels": counts, "fingerprint": {**rule, "channels": rows}}


def _refuse_nan(findings: Findings, config: Config) -> None:
    """nnU-Net stops at NaN, and no number of its own comes of infinite voxels."""
    assert config.fingerprint is not None
    found = next((item for item in findings.items if item.code == "W_NAN"), None)
    if found and config.fingerprint.sampling == "nnunet":
        raise InputError(
            found.code,
            f"{found.message}: nnU-Net's statistics have no number for them",
            path=found.path,
            advice="repair the file, or count exactly, which leaves them out",
        )


def _counted(task: CaseTask, measured: Measured) -> Iterator[ValueCounts]:
    """The foreground values of each channel under the config's rule."""
    rule = measured.config.fingerprint
    assert rule is not None
    inside = _foreground(task, measured, rule)
    found = (channel[measured.box][inside] for channel in measured.assembled.channels)
    if rule.draws is not None:
        yield from draw_as_nnunet(found, rule.draws)
        return
    for voxels in found:
        yield count_values(voxels[np.isfinite(voxels)] if voxels.dtype.kind == "f" else voxels)


def _foreground(task: CaseTask, measured: Measured, rule: FingerprintRule) -> NDArray[np.bool_]:
    """Labelled voxels of the crop; those that differ from zero in a case without a label map."""
    assembled, box = measured.assembled, measured.box
    inside = np.zeros(measured.geometry.shape, np.bool_)
    for name, label in assembled.labels.items():
        part, agreed = label[box], task.agreement.labels.get(name, Classes())
        told = (rule.ignore, agreed.ignore, measured.config.label.ignore)
        ignored = next((value for value in told if value is not None), None)
        labelled = part > 0
        if ignored is not None and rule.sampling == "exact":
            labelled &= part != ignored
        inside |= labelled
    if not assembled.labels:
        for channel in assembled.channels:
            inside |= channel[box] != 0
    return inside


def _write(counted: Sequence[ValueCounts], writer: CaseWriter) -> list[dict[str, Any]]:
    """What the record says of each channel; counts of many values go to files."""
    durable = writer.config.store.fsync == "always"

    def seal(path: str, text: bytes) -> None:
        written = write_file(writer.folder / path, [text], fsync=durable)
        writer.files[path] = asdict(written)

    seal(GROUP_FILE, to_text(group_document({"gpuprep": {"counted": True}}), GROUP_FILE))
    rows = []
    for number, each in enumerate(counted):
        mean, variance = each.moments()
        ends = [float(each.values[0]), float(each.values[-1])] if each.count else []
        row: dict[str, Any] = {"count": each.count, "ends": ends, "mean": mean}
        row["variance"] = variance
        if len(each.values) <= _FEW:
            row |= {"values": each.values.tolist(), "totals": each.totals.tolist()}
        else:
            row["folder"] = f"{FOLDER}/{number}"
            for name, array in (("values", each.values), ("totals", each.totals)):
                seal(f"{row['folder']}/{name}.npy", to_npy(array))
        rows.append(row)
    return rows
