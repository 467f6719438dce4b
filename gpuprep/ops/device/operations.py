"""The CUDA engine behind ``Operations``: uploads, kernels, downloads, and what to do when memory is short.

A step that finds the device full is tried again after memory kept for reuse was given back; resampling is
then tried in smaller and smaller slabs; last, NumPy does the step. Whatever was done otherwise than asked
is told in ``fallbacks``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.device.link import Link
from gpuprep.ops.curve import Pointwise
from gpuprep.ops.device.arguments import SOURCES
from gpuprep.ops.device.filters import beyond_kernels, filter_device
from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.device.late import LateDistribution
from gpuprep.ops.device.pointwise import (
    cleaned_device,
    find_mask_device,
    marked_device,
    masked_device,
)
from gpuprep.ops.device.profiles import find_box_device
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.device.slabs import resample_in_slabs, resample_labels_in_slabs
from gpuprep.ops.device.statistics import DeviceDistribution, measure_device
from gpuprep.ops.device.target import chunked
from gpuprep.ops.device.transfer import fetch
from gpuprep.ops.filters import Filter
from gpuprep.ops.operations import Held, HostOperations, Image, MakeArray
from gpuprep.ops.resample import Resampling
from gpuprep.ops.statistics import Distribution
from gpuprep.values.geometry import Box, Shape
from gpuprep.values.volume import Chunked

Array = NDArray[Any]
Result = TypeVar("Result")

_SLABS = (2, 4, 8, 16, 32, 64)


class DeviceOperations:
    """CUDA kernels over a slot's link, inside one of its sessions; ``host`` does what they cannot."""

    def __init__(self, link: Link, host: HostOperations) -> None:
        self._link = link
        self._engine = link.engine
        self._host = _HostWithFetch(link, host)
        self.fallbacks: list[str] = []

    def hold(self, array: Array) -> Held:
        if array.dtype.kind != "b" and array.dtype not in SOURCES:
            self._fall_back(f"kernels do not read {array.dtype}")
            return Held(array)
        uploaded = self._twice(lambda: Held(array, self._link.upload(array)))
        if not uploaded:
            self._fall_back("the device has no room for a whole volume")
            return Held(array)
        return uploaded[0]

    def box(
        self, arrays: Sequence[Held], above: float | None = None, fraction: float = 0.0
    ) -> Box | None:
        on_device = [held.device for held in arrays]
        return self._step(
            arrays,
            lambda: find_box_device(self._engine, on_device, above, fraction),
            lambda: self._host.box(arrays, above, fraction),
        )

    def mask(self, arrays: Sequence[Held], above: float | None = None) -> Held:
        on_device = [held.device for held in arrays]
        return self._made(
            arrays,
            lambda: find_mask_device(self._engine, on_device, above).view(np.bool_),
            lambda: self._host.mask(arrays, above),
        )

    def filled(self, mask: Held) -> Held:
        return self.hold(self._host.fetch(self._host.filled(mask)))

    def masked(self, channel: Held, mask: Held, step: Pointwise) -> Held:
        return self._made(
            [channel, mask],
            lambda: masked_device(self._engine, channel.device, mask.device, step),
            lambda: self._host.masked(channel, mask, step),
        )

    def marked(self, label: Held, mask: Held, value: int) -> Held:
        return self._made(
            [label, mask],
            lambda: marked_device(self._engine, label.device, mask.device, value),
            lambda: self._host.marked(label, mask, value),
        )

    def cleaned(self, channel: Held, low: float, high: float) -> Held:
        return self._made(
            [channel],
            lambda: cleaned_device(self._engine, channel.device, low, high, low),
            lambda: self._host.cleaned(channel, low, high),
        )

    def measure(self, channel: Held, mask: Held | None = None) -> Distribution:
        held = [channel] if mask is None else [channel, mask]
        found = self._step(
            held,
            lambda: measure_device(self._engine, *(each.device for each in held)),
            lambda: self._host.measure(channel, mask),
        )
        if not isinstance(found, DeviceDistribution):
            return found
        return LateDistribution(found, self.retried, lambda: self._host.measure(channel, mask))

    def retried(self, work: Callable[[], Result], instead: Callable[[], Result]) -> Result:
        """``work`` on the device, or ``instead`` where there is no room for it."""
        done = self._twice(work)
        if done:
            return done[0]
        self._fall_back("the device has no room for a step")
        return instead()

    def filtered(
        self, channel: Held, steps: Sequence[Filter], others: Sequence[str], on_host: MakeArray
    ) -> Held:
        reason = beyond_kernels(steps)
        if others:
            reason = f"{' and '.join(others)} {'is' if len(others) == 1 else 'are'} for the host"
        if reason:
            self._fall_back(f"{reason}, and so are all filters of the channel")
            return self.hold(on_host())
        given = self.hold(self._host.fetch(channel))
        if not steps:
            return given
        return self._made(
            [given],
            lambda: filter_device(self._engine, given.device, steps),
            lambda: self._without(given, on_host),
        )

    def _without(self, given: Held, on_host: MakeArray) -> Held:
        """What the host makes, when what was given has left the device."""
        given.device = None
        self._link.release()
        return Held(on_host())

    def fetch(self, held: Held) -> Array:
        return self._host.fetch(held)

    def empty(self, channels: int, shape: Shape, dtype: DTypeLike, chunk: int) -> Image:
        plain = (channels, *shape)
        cut = (channels, *chunked(shape, chunk)) if chunk else ()
        if cut and self._host.fits(cut, dtype):
            return Chunked(self._host.landing(cut, dtype), plain)
        return self._host.landing(plain, dtype)

    def resample(self, channel: Held, how: Resampling, out: Image) -> None:
        array, chunk = (out.blocks, out.blocks.shape[-1]) if isinstance(out, Chunked) else (out, 0)

        def whole() -> bool:
            given = self._engine, channel.device, how
            done = resample_device(*given, dtype=out.dtype, chunk=chunk, host=channel.host)
            self._link.download(done, array)
            return True

        def slabs(count: int) -> bool:
            plain = self._host.landing(out.shape, out.dtype) if isinstance(out, Chunked) else out
            resample_in_slabs(self._link, self._host.fetch(channel), how, plain, count)
            if isinstance(out, Chunked):
                self.wait()
                out.fill(plain)
            return True

        if not self._in_slabs([channel], whole, slabs):
            self._host.resample(channel, how, out)

    def resample_labels(self, label: Held, how: Resampling) -> Array:
        out = self._host.landing(how.mapping.shape, self._host.fetch(label).dtype)

        def whole() -> bool:
            self._link.download(resample_labels_device(self._engine, label.device, how), out)
            return True

        def slabs(count: int) -> bool:
            resample_labels_in_slabs(self._link, self._host.fetch(label), how, out, count)
            return True

        if self._in_slabs([label], whole, slabs):
            return out
        return self._host.resample_labels(label, how)

    def blank(self, shape: Shape, dtype: DTypeLike) -> Array:
        return self._host.blank(shape, dtype)

    def wait(self) -> None:
        self._link.wait()

    @contextmanager
    def passing(self) -> Iterator[None]:
        with self._host.scratch.passing(), self._link.passing():
            yield

    def _in_slabs(
        self, held: Sequence[Held], whole: Callable[[], bool], slabs: Callable[[int], bool]
    ) -> bool:
        """Whether the device did it, at once or in slabs; False where it is for the host."""
        if all(each.device is not None for each in held) and self._twice(whole):
            return True
        if any(self._host.fetch(each).dtype not in SOURCES for each in held):
            return False
        for each in held:  # the whole is of no more use there
            self._host.fetch(each)
            each.device = None
        for count in _SLABS:
            if self._once(lambda count=count: slabs(count)):  # type: ignore[misc]
                self._fall_back(f"the device has no room for a whole volume: done in {count} slabs")
                return True
        self._fall_back("the device has no room for a slab of a volume")
        return False

    def _made(
        self, held: Iterable[Held], work: Callable[[], Any], instead: Callable[[], Held]
    ) -> Held:
        """An array that ``work`` makes on the device, or that is brought there."""
        return self._step(
            held,
            lambda: Held(None, work()),
            lambda: self.hold(self._host.fetch(instead())),
        )

    def _step(
        self, held: Iterable[Held], work: Callable[[], Result], instead: Callable[[], Result]
    ) -> Result:
        """``work`` where all arrays are on the device and there is room; else ``instead``."""
        on_device = all(each.device is not None for each in held)
        return self.retried(work, instead) if on_device else instead()

    def _twice(self, work: Callable[[], Result]) -> tuple[Result] | None:
        """The result; None where there is no room even when memory kept for reuse is given back."""
        return self._once(work) or self._once(work)

    def _once(self, work: Callable[[], Result]) -> tuple[Result] | None:
        try:
            return (work(),)
        except MemoryError:
            pass  # the traceback, which holds on to arrays, must be gone first
        self._link.release()
        return None

    def _fall_back(self, reason: str) -> None:
        if reason not in self.fallbacks:
            self.fallbacks.append(reason)


class _HostWithFetch(HostOperations):
    """NumPy for arrays that may lie on the device, with results where copies from there land."""

    def __init__(self, link: Link, host: HostOperations) -> None:
        super().__init__(host.threads, host.scratch)
        self._link = link

    def fetch(self, held: Held) -> Array:
        if held.host is None:
            held.host = fetch(self._link.engine, held.device)
        return held.host

    def fits(self, shape: tuple[int, ...], dtype: DTypeLike) -> bool:
        """Whether an array would be ordinary memory."""
        return self.scratch.fits(math.prod(shape) * np.dtype(dtype).itemsize)

    def landing(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Host memory for a result: pinned, or on disk where memory is short."""
        taken = self.scratch.take(math.prod(shape) * np.dtype(dtype).itemsize)
        return self._link.empty(shape, dtype) if taken else self.scratch.empty(shape, dtype)
