"""Thousands of damaged files through the real sandbox: none may harm the parent, hang, or lie.

As a script: ``PYTHONPATH=tests python -m chaos.fuzz --mutants 10000 --seed 1`` prints what became of them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from chaos.fuzz_elements import edit_element, edit_picture
from chaos.fuzz_headers import bomb, edit_line, edit_tag, escape
from chaos.fuzz_mutations import (
    Mutant,
    Mutation,
    cut_out,
    extend,
    flip,
    lost_file,
    overwrite,
    trailer,
    truncate,
)
from chaos.fuzz_rarer import make_rarer_samples
from chaos.fuzz_samples import Sample, make_samples
from chaos.inotify import Watch

from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.values.case import Source
from gpuprep.values.codes import CODES
from gpuprep.values.errors import MOST_TEXT, CaseError, InputError, InternalError, ReaderCrash

DEADLINE_SECONDS = 10.0
_SLACK_SECONDS = 30.0  # to start another child, on a busy machine


def mutations(outside: Path) -> tuple[Mutation, ...]:
    """All ways to damage a sample, as often as they are to be tried; few samples have lines or tags."""
    return (
        *(flip, overwrite, truncate) * 2, *(edit_line, edit_tag, edit_element) * 4, edit_picture,
        extend, cut_out, bomb, trailer, lost_file, escape(outside),
    )  # fmt: skip


@dataclass
class Campaign:
    """What became of the mutants so far; ``faults`` tells each that broke a promise."""

    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")

    def describe(self) -> str:
        return json.dumps(
            {
                "mutants": self.outcomes.total(),
                "outcomes": dict(self.outcomes.most_common()),
                "kinds": dict(self.kinds.most_common()),
                "formats": dict(self.formats.most_common()),
                "reader crashes": self.crashes,
                "slowest": self.slowest,
                "faults": self.faults,
            },
            indent=2,
        )


def fuzz(count: int, seed: int, folder: Path, only: str = "") -> Campaign:
    """Read ``count`` mutants in one sandbox; the same seed gives the same mutants.

    With ``only`` they are of samples with this in their name.
    """
    inside, outside = folder / "in", folder / "outside"
    inside.mkdir()
    outside.mkdir()
    samples = [*make_samples(), *make_rarer_samples()]
    if only:
        samples = [sample for sample in samples if only in sample.name]
    for sample in samples:
        _write(sample.files, outside)
    os.mkfifo(outside / "pipe")
    rules = ReadRules(timeout_seconds=DEADLINE_SECONDS, roots=(str(inside),), suv=("bodyweight",))
    campaign, ways = Campaign(), mutations(outside)
    with Sandbox(rules) as sandbox, Watch(outside) as watch:
        originals = {sample.name: _original(sample, inside, sandbox) for sample in samples}
        for number in range(count):
            rng = random.Random(f"{seed} {number}")
            mutant = None
            while mutant is None:
                mutant = rng.choice(ways)(rng.choice(samples), rng)
            told = _judge(mutant, inside, sandbox, originals, campaign)
            if opened := watch.opened():
                told = f"opened {opened} outside the root"
            if told:
                campaign.faults.append(f"{number}: {mutant}: {told}")
    return campaign


def _original(sample: Sample, folder: Path, sandbox: Sandbox) -> np.ndarray:
    _write(sample.files, folder)
    return sandbox.read(sample.source_in(folder)).volumes[0].array


def _judge(
    mutant: Mutant,
    folder: Path,
    sandbox: Sandbox,
    originals: dict[str, np.ndarray],
    campaign: Campaign,
) -> str:
    """Read one mutant; returns the promise that was broken, if one was."""
    _write(mutant.sample.files, folder)
    for name, target in mutant.links.items():
        (folder / name).symlink_to(target)
    original = originals[mutant.sample.name]
    start = time.monotonic()
    try:
        outcome, told = "read", _check_voxels(mutant, folder, sandbox, original)
    except InternalError as error:
        outcome, told = "BUG", f"{error}\n{error.details}"
    except InputError as error:
        outcome, told = error.code, "" if error.code in CODES else f"unknown code {error.code}"
        told = told or ("quotes too much" if len(str(error)) > 2 * MOST_TEXT else "")
    except ReaderCrash as error:
        outcome, told = "CRASH", ""
        campaign.crashes.append(f"{mutant}: {error}")
    except CaseError as error:
        outcome, told = error.kind.upper(), ""
    except Exception as error:
        outcome, told = "BUG", f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - start
    campaign.slowest = max(campaign.slowest, (round(seconds, 3), str(mutant)))
    campaign.outcomes[outcome] += 1
    campaign.kinds[mutant.kind] += 1
    campaign.formats[mutant.sample.name] += 1
    return told or ("too slow" if seconds > DEADLINE_SECONDS + _SLACK_SECONDS else "")


def _check_voxels(mutant: Mutant, folder: Path, sandbox: Sandbox, original: np.ndarray) -> str:
    source = mutant.sample.source_in(folder)
    scan = sandbox.read(source)
    array = scan.volumes[0].array
    if mutant.must_refuse:
        return f"gave voxels of shape {array.shape}"
    if mutant.must_equal and not np.array_equal(array, original):
        return f"gave other voxels than the original, of shape {array.shape}"
    if sandbox.peek(source).geometry != scan.geometry:
        return "its headers promise another grid"
    other = _by_itk(source, sandbox)
    if other is not None and not np.array_equal(other, array, equal_nan=array.dtype.kind == "f"):
        return f"ITK gave other voxels, {other.dtype} in place of {array.dtype}"
    return ""


def _by_itk(source: Source, sandbox: Sandbox) -> np.ndarray | None:
    """What the other reader gives; None where it refuses."""
    rules = sandbox.rules
    sandbox.follow(replace(rules, reader="itk"))
    try:
        return sandbox.read(source).volumes[0].array
    except InternalError:
        raise
    except CaseError:
        return None
    finally:
        sandbox.follow(rules)


def _write(files: dict[str, bytes], folder: Path) -> None:
    if folder.name == "in":
        shutil.rmtree(folder)
        folder.mkdir()
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="samples with this in their name")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as name:
        campaign = fuzz(arguments.mutants, arguments.seed, Path(name), arguments.only)
    print(campaign.describe())
    raise SystemExit(bool(campaign.faults))


if __name__ == "__main__":
    main()
