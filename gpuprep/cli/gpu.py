"""The first hour of a GPU, by itself: what it is, whether it agrees with NumPy, how fast it is."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from gpuprep.cli.terminal import out
from gpuprep.device.card import Card, describe_card
from gpuprep.device.clock import Clock, CudaClock
from gpuprep.device.cuda import CudaDriver
from gpuprep.device.decoder import Decoder, Extents, NvcompDecoder
from gpuprep.device.driver import Driver
from gpuprep.host.resources import available_cores
from gpuprep.ops.device.trial import CT, TOLERANCE, Trial, made_ct, trials
from gpuprep.store.codecs import preset
from gpuprep.values.geometry import Shape
from gpuprep.values.units import human_bytes
from gpuprep.values.version import __version__

_CHUNK = 64  # edge of the chunks to decode
_CHUNKS = 256
_DECODES = 5


def try_gpu(shape: Shape | None = None, *, show: bool = True) -> dict[str, Any]:
    """Everything that is to be known of the first visible device, ready for JSON; raises where none opens.

    ``ok`` says whether every operation agrees with NumPy. Tables are printed where ``show`` is set.
    """
    import cupy

    shape = shape or CT
    card = describe_card()
    start = time.perf_counter()
    driver = CudaDriver()
    compiled = time.perf_counter() - start
    with cupy.cuda.Stream(non_blocking=True):
        clock = CudaClock()
        size = 8 * math.prod(shape)  # larger than any cache, for a volume that is
        copy, (up, down) = clock.copy_bandwidth(size), clock.host_bandwidth(size // 4)
        found = list(trials(driver.engine, clock, copy, shape, available_cores()))
        decoded = try_decoding(driver, clock)
    rates = {"device_copy": copy, "to_device": up, "from_device": down}
    if show:
        for part in pages(card, compiled, rates, found, decoded):
            out.print(part)
    return {
        "gpuprep": __version__,
        "card": asdict(card),
        "seconds_to_load_kernels": compiled,
        "bytes_per_second": rates,
        "shape": list(shape),
        "trials": [asdict(trial) | {"agrees": trial.agrees} for trial in found],
        "decode": decoded,
        "ok": all(trial.agrees for trial in found),
    }


def try_decoding(driver: Driver, clock: Clock, open_decoder: Any = NvcompDecoder) -> dict[str, Any]:
    """Chunks of the made CT as float16, decoded by nvCOMP: seconds and bytes, or why it was not done."""
    engine = driver.engine
    voxels = made_ct((_CHUNK, _CHUNK, _CHUNK))[0].astype(np.float16)
    chunk = voxels.tobytes()
    frame = np.frombuffer(preset("gpu", voxels.dtype).encode(voxels), np.uint8)
    frames, chunks = Extents(), Extents()
    for _ in range(_CHUNKS):
        frames.add(len(frame))
        chunks.add(len(chunk))
    host = np.zeros(frames.end, np.uint8)
    for offset in frames.offsets:
        host[offset : offset + len(frame)] = frame
    try:
        decoder: Decoder = open_decoder()
        encoded, decoded = engine.xp.asarray(host), engine.xp.empty(chunks.end, np.uint8)
        decoder.decode(encoded, frames, decoded, chunks)
        right = engine.to_host(decoded)[: len(chunk)].tobytes() == chunk
        start = clock.mark()
        for _ in range(_DECODES):
            decoder.decode(encoded, frames, decoded, chunks)
        stop = clock.mark()
        clock.finish()
    except Exception as error:  # nvCOMP is not installed, or whatever it says
        return {"missing": f"{type(error).__name__}: {error}"}
    seconds = clock.seconds(start, stop) / _DECODES
    return {
        "right": right,
        "seconds": seconds,
        "bytes": _CHUNKS * len(chunk),
        "bytes_per_second": _CHUNKS * len(chunk) / seconds,
    }


def pages(
    card: Card,
    compiled: float,
    rates: dict[str, float],
    found: list[Trial],
    decoded: dict[str, Any],
) -> Iterator[Any]:
    """The report for people, part by part."""
    yield escape(
        f"{card.name}, compute capability {card.capability}, {card.multiprocessors} multiprocessors, "
        f"{human_bytes(card.memory_bytes)}"
    )
    headers = card.headers or "not found (nothing here needs them)"
    yield escape(
        f"CUDA {card.cuda} by the driver {card.smi.get('driver_version', '')}, runtime {card.runtime}, "
        f"NVRTC {card.nvrtc}, CuPy {card.cupy}; headers {headers}"
    )
    yield f"kernels were ready after {compiled:.1f} s"
    yield "copies, GB/s: " + ", ".join(
        f"{name.replace('_', ' ')} {rate / 1e9:.1f}" for name, rate in rates.items()
    )
    table = Table("operation", "kernel", "ms", "GB/s", "of a copy", "differs from NumPy")
    for trial in found:
        mark = "" if trial.agrees else f" [red]more than {TOLERANCE:g}[/]"
        table.add_row(
            trial.operation,
            "",
            *_speed(trial.seconds, trial.bytes, trial.share),
            f"{trial.differs:.1e}{mark}",
        )
        if len(trial.kernels) > 1:
            for kernel in trial.kernels:
                times = f" × {kernel.launches}" if kernel.launches > 1 else ""
                speed = _speed(kernel.seconds, kernel.bytes, kernel.share)
                table.add_row("", f"{kernel.kernel}{times}", *speed, "")
    yield table
    if "missing" in decoded:
        yield escape(f"nvCOMP was not tried: {decoded['missing']}")
    else:
        right = "right" if decoded["right"] else "[red]WRONG[/]"
        yield f"nvCOMP decodes zstd at {decoded['bytes_per_second'] / 1e9:.1f} GB/s, {right}"


def _speed(seconds: float, size: int, share: float) -> tuple[str, str, str]:
    return f"{seconds * 1e3:.3f}", f"{size / seconds / 1e9:.0f}", f"{share:.0%}"


def save(report: dict[str, Any], path: Path) -> None:
    """Write the report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
