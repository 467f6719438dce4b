"""From computed outputs to the files of a case: each is written before the next one is computed."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpuprep.config.model import Config
from gpuprep.host.failpoints import failpoint
from gpuprep.preprocess.assemble import Assembled
from gpuprep.preprocess.compute import Computed
from gpuprep.preprocess.pyramid import coarser_levels
from gpuprep.preprocess.task import CaseTask, Stopwatch
from gpuprep.store.case import write_case
from gpuprep.store.nnunet.b2nd import import_blosc2
from gpuprep.store.nnunet.case import write_nnunet_case
from gpuprep.store.nnunet.class_locations import Draws
from gpuprep.store.several import below, write_outputs_group

Seals = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class CaseWriter:
    """Writes the outputs of a case into a folder.

    Attributes:
        files: The seals of what is written, by path.
        records: What the case's record will say of each output, by the output's name.
        draws: Voxels drawn for nnU-Net, which outputs of one label map share.
    """

    task: CaseTask
    assembled: Assembled
    config: Config
    folder: Path
    watch: Stopwatch
    files: Seals = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    draws: Draws = field(default_factory=Draws)

    def write_all(
        self, outputs: Generator[Computed, None, None], session: AbstractContextManager[None]
    ) -> None:
        """Compute every output in a session of the engine, and write it; the last one after the session.

        Raises:
            CaseError: the case cannot be done.
            StoreError: the disk refuses.
            RunStopped: it is full.
        """
        with session, closing(outputs):  # which lets go of what is on a device
            last = self._write_all_but_last(outputs)
        self._write(last)
        nnunet = [name for name, part in self.config.parts().items() if part.store.nnunet]
        if self.config.outputs or nnunet:
            durable = self.config.store.fsync == "always"
            names = list(self.config.outputs)
            self.files.update(write_outputs_group(self.folder, names, nnunet, durable=durable))

    def _write_all_but_last(self, outputs: Iterator[Computed]) -> Computed:
        """Returns the last; every other one is let go of before the next is computed."""
        while True:
            output = next(outputs)
            if output.is_last:
                return output
            self._write(output)
            del output

    def _write(self, output: Computed) -> None:
        with self.watch("store"):
            files = self._write_output(output, self.folder / output.name)
        for path, seal in files.items():
            self.files[below(output.name, path)] = seal
        self.records[output.name] = output.record
        if output.name:
            failpoint("after_output", f"{self.task.case.id}/{output.name}")

    def _write_output(self, output: Computed, folder: Path) -> Seals:
        """Write the arrays of one output."""
        store = output.config.store
        durable = store.fsync == "always"
        if store.nnunet is not None:
            return write_nnunet_case(
                folder,
                image=output.image,
                labels=output.labels,
                geometry=output.record["geometry"],
                rule=store.nnunet,
                draws=self.draws,
                threads=self.task.threads,
                durable=durable,
            )
        return write_case(
            folder,
            image=output.image,
            labels=output.labels,
            geometry=output.geometry,
            coarser=coarser_levels(
                output.image,
                output.labels,
                output.geometry,
                count=store.pyramid,
                keep_bits=store.keep_bits,
                threads=self.task.threads,
            ),
            chunk=store.chunk,
            codec=store.codec,
            threads=self.task.threads,
            channel_names=self.assembled.channel_names,
            label_names=self.assembled.label_names,
            keep_bits=store.keep_bits,
            durable=durable,
        )


def check_packages(config: Config) -> None:
    """Raises UsageError where a package is missing that the files of every case need."""
    if any(part.store.nnunet is not None for part in config.parts().values()):
        import_blosc2()
