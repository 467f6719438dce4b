"""Doing one case from files to a committed store: the only place where io, ops and store meet.

read → orient, crop (views) → measure → decide → apply → store → commit. What happens between reading and
writing runs on one array engine: CUDA kernels where the slot has a device and the case is worth the way
there, NumPy otherwise.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import Any

from gpuprep.config.model import Config
from gpuprep.device.link import Link
from gpuprep.host.failpoints import failpoint
from gpuprep.host.scratch import Scratch
from gpuprep.ops.device.operations import DeviceOperations
from gpuprep.ops.mergeable import Mergeable, to_mergeable
from gpuprep.ops.operations import HostOperations
from gpuprep.preprocess.assemble import Assembled
from gpuprep.preprocess.compute import compute
from gpuprep.preprocess.decoded_cases import let_go, read_case
from gpuprep.preprocess.device_need import bytes_on_device, is_worth_it
from gpuprep.preprocess.fingerprint import count_case
from gpuprep.preprocess.learning import learn_standards
from gpuprep.preprocess.measure import measure
from gpuprep.preprocess.projection import check_memory, footprint
from gpuprep.preprocess.publishing import publish
from gpuprep.preprocess.reading import Reader
from gpuprep.preprocess.record import case_record, versions
from gpuprep.preprocess.task import CaseTask, Stopwatch
from gpuprep.preprocess.writing import CaseWriter
from gpuprep.store.commit import Staging
from gpuprep.store.record import write_record
from gpuprep.store.sources import sum_of_files
from gpuprep.values.errors import DeviceFailure, InputError
from gpuprep.values.findings import Findings


def run_case(
    task: CaseTask,
    config: Config,
    reader: Reader,
    cohort: tuple[Mergeable, ...] = (),
    link: Link | None = None,
    no_device: str = "",
    watch: Stopwatch | None = None,
) -> dict[str, Any]:
    """Do one case and commit it; returns its record. ``watch`` is told the time of every stage, and
    ``no_device`` says why there is no ``link`` where one was wanted.

    Doing a case twice is harmless: see ``publish``. A device that fails costs the case time, and nothing
    else: NumPy does it again.

    Raises:
        CaseError: the case cannot be done; nothing of it is left behind.
        RunStopped: the disk is full or the output has gone.
    """
    watch = watch or Stopwatch()
    findings = Findings(config.input.policy)
    failpoint("before_read", task.case.id)
    with watch("read"):
        assembled = read_case(task, config, reader, findings)
    if config.needs_cohort:  # kept statistics are not of this case
        _check_channels(task, assembled)
    with Staging(task.output, task.case.id) as staging:
        writer = CaseWriter(task, assembled, config, staging.folder, watch)
        if config.fingerprint is not None:
            count_case(writer, findings)
            return commit(writer, staging, {"backend": "numpy"})
        host = HostOperations(task.threads, make_room(task, assembled, config))
        refusal = no_device or (link.lost if link else "")
        engine: dict[str, Any] | None = None
        if link is not None and not refusal and is_worth_it(assembled, config):
            try:
                engine = _write_by_device(writer, link, host, findings.copy(), cohort)
            except DeviceFailure as error:
                refusal = error.message
                staging.begin_anew()
                writer = replace(writer, files={}, records={})
        if engine is None:
            outputs = compute(task, assembled, config, host, findings, cohort, watch)
            writer.write_all(outputs, nullcontext())
            engine = {"backend": "numpy", **({"fallbacks": [refusal]} if refusal else {})}
        record = commit(writer, staging, engine)
    let_go(task, config)
    return record


def _write_by_device(
    writer: CaseWriter,
    link: Link,
    host: HostOperations,
    findings: Findings,
    cohort: tuple[Mergeable, ...],
) -> dict[str, Any]:
    """Write all outputs of a case as a device computes them; returns what the record says of the engine.

    Raises:
        DeviceFailure: nothing that was written counts.
    """
    task, assembled, config = writer.task, writer.assembled, writer.config
    operations = DeviceOperations(link, host)
    outputs = compute(task, assembled, config, operations, findings, cohort, writer.watch)
    writer.write_all(outputs, link.session(bytes_on_device(assembled, config)))
    fallbacks = [*operations.fallbacks, *link.notes]
    return {"backend": "cupy", "device": link.device, "fallbacks": fallbacks}


def measure_case(
    task: CaseTask, config: Config, reader: Reader
) -> tuple[tuple[Mergeable, ...], str]:
    """The foreground histogram of every channel and the landmarks that are asked for, one case's share of the
    cohort's statistics; and the sum of the files it was taken from.

    Raises:
        InputError: the case cannot be read, or its channels are not the cohort's.
    """
    findings = Findings(config.input.policy)
    assembled = read_case(task, config, reader, findings)
    host = HostOperations(task.threads)
    measured = measure(task, assembled, config, host, findings, Stopwatch())
    _check_channels(task, assembled)
    numbers = range(len(measured.channels))
    values = [to_mergeable(measured.foreground_of(number, findings)) for number in numbers]
    learnt = learn_standards(measured, config, findings)
    return (*values, *learnt), sum_of_files(map(asdict, assembled.identity))


def _check_channels(task: CaseTask, assembled: Assembled) -> None:
    """Raises InputError for a case with other channels than the cohort's statistics are of."""
    known = task.agreement.channels
    if known and assembled.channel_names != known:
        raise InputError(
            "E_CHANNELS",
            f"statistics over the cohort are of {', '.join(known)}, and this case has "
            f"{', '.join(assembled.channel_names)}",
            path=task.case.images[0].path,
            advice="use over: image or over: foreground, or take the case out of the input",
        )


def make_room(task: CaseTask, assembled: Assembled, config: Config) -> Scratch:
    """Memory for the results of a case; what is beyond the task's goes to disk.

    Raises:
        MemoryShortage: the case does not fit slab by slab either.
    """
    channels = len(assembled.channels)
    needed = footprint(assembled.decoded_bytes, assembled.geometry, channels, config)
    check_memory(task.case.id, needed.working, task.memory)
    return Scratch(task.output, needed.left_for_results(task.memory))


def commit(writer: CaseWriter, staging: Staging, engine: dict[str, Any]) -> dict[str, Any]:
    """Write the record of a case whose outputs are in staging, and publish it: one rename or one upload."""
    task, config, watch = writer.task, writer.config, writer.watch
    store = config.store
    failpoint("after_shards", task.case.id)
    record = {
        **case_record(config, writer.records),
        "files": writer.files,
        "versions": versions(),
        "engine": engine,
        "timings": {name: round(seconds, 4) for name, seconds in watch.seconds.items()},
        "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    with watch("commit"):
        write_record(staging.folder, record, durable=store.fsync == "always")
        failpoint("after_record", task.case.id)
        publish(task, staging, durable=store.fsync != "never")
    return record
