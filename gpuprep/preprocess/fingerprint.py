"""``fingerprint:`` of a config: a case's foreground counted for a plan; no arrays are stored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.config.model import Config
from gpuprep.host.failpoints import failpoint
from gpuprep.ops.operations import HostOperations
from gpuprep.ops.value_counts import ValueCounts, count_values, draw_as_nnunet
from gpuprep.preprocess.assemble import Assembled
from gpuprep.preprocess.measure import Measured, crop_box
from gpuprep.preprocess.record import describe, versions, voxel_counts
from gpuprep.preprocess.task import CaseTask, Stopwatch
from gpuprep.store.commit import Staging
from gpuprep.store.files import write_file
from gpuprep.store.locations import to_npy
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.objects.upload import upload_case
from gpuprep.store.record import write_record
from gpuprep.values.findings import Findings
from gpuprep.values.grids import GridMapping

Mask = NDArray[np.bool_]

FOLDER = "fingerprint"
_FEW = 1024  # distinct values that the record itself holds


def count_case(
    task: CaseTask, assembled: Assembled, config: Config, findings: Findings, watch: Stopwatch
) -> dict[str, Any]:
    """Count one case and commit it; returns its record.

    Raises:
        InputError: the policy makes an error of what was found.
        StoreError: the disk refuses.
    """
    host = HostOperations(task.threads)
    with watch("measure"):
        held = [host.hold(channel) for channel in assembled.channels]
        labels = {name: host.hold(label) for name, label in assembled.labels.items()}
        box = crop_box(assembled.geometry, held, list(labels.values()), host, config, findings)
        measured = Measured(assembled, box, (), labels, (), host, config)
        counted = _counted(task, measured)
        if not any(each.count for each in counted):
            findings.report("W_EMPTY_FOREGROUND", "the case has no foreground to count")
        counts = {name: voxel_counts(label[box]) for name, label in assembled.labels.items()}
    mapping = GridMapping(measured.geometry.shape)
    record = {**describe(task, measured, mapping, None, (), findings), "labels": counts}
    with Staging(task.output, task.case.id) as staging:
        durable = config.store.fsync == "always"
        with watch("store"):
            rows, files = _written(staging.folder, counted, durable=durable)
        failpoint("after_shards", task.case.id)
        record |= {
            "fingerprint": {**_rule(config), "channels": rows},
            "files": files,
            "versions": versions(),
            "engine": {"backend": "numpy"},
            "timings": {name: round(seconds, 4) for name, seconds in watch.seconds.items()},
            "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        with watch("commit"):
            write_record(staging.folder, record, durable=durable)
            failpoint("after_record", task.case.id)
            if task.url:
                place = ObjectPath(task.url)
                upload_case(staging.folder, place, task.case.id, replace=task.replace)
            else:
                staging.publish(replace=task.replace, durable=config.store.fsync != "never")
    return record


def _rule(config: Config) -> dict[str, Any]:
    assert config.fingerprint is not None
    return config.fingerprint.model_dump(mode="json")


def _counted(task: CaseTask, measured: Measured) -> list[ValueCounts]:
    """The foreground values of every channel under the config's rule."""
    rule, assembled = measured.config.fingerprint, measured.assembled
    assert rule is not None
    exact = rule.sampling == "exact"
    inside = _foreground(task, measured, with_ignored=not exact)
    found = [channel[measured.box][inside] for channel in assembled.channels]
    if rule.draws is not None:
        return list(draw_as_nnunet(found, rule.draws))
    finite = (part[np.isfinite(part)] if part.dtype.kind == "f" else part for part in found)
    return [count_values(part) for part in finite]


def _foreground(task: CaseTask, measured: Measured, *, with_ignored: bool) -> Mask:
    """Labelled voxels of the crop; those that differ from zero in a case without a label map."""
    assembled, box, config = measured.assembled, measured.box, measured.config
    inside = np.zeros(measured.geometry.shape, np.bool_)
    for name, label in assembled.labels.items():
        part = label[box]
        agreed = task.agreement.labels.get(name)
        ignored = agreed.ignore if agreed and agreed.ignore is not None else config.label.ignore
        labelled = part > 0
        if ignored is not None and not with_ignored:
            labelled &= part != ignored
        inside |= labelled
    if not assembled.labels:
        for channel in assembled.channels:
            inside |= channel[box] != 0
    return inside


def _written(
    folder: Path, counted: Sequence[ValueCounts], *, durable: bool
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What the record says of each channel, and the seals of the files that hold what is long."""
    rows, files = [], {}
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
                path = f"{row['folder']}/{name}.npy"
                seal = write_file(folder / path, [to_npy(array)], fsync=durable)
                files[path] = asdict(seal)
        rows.append(row)
    return rows, files
