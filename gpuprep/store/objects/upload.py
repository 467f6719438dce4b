"""Publishing a case on a store without rename: its record comes last, by a conditional write.

The bytes of two attempts at one case may differ (another config, another engine), and Zarr fixes the keys.
So an attempt first claims the case (``.staging/<case id>.json``), and then *creates* every object: no
request of ours ever overwrites one of a case. A claim passes to another process only when its holder is
dead, or on a machine that cannot be asked and silent for a minute: from the store's time of the claim to the
clock of the machine that asks. An upload renews its claim between objects, so that one object which takes a
minute, or a clock that is a minute ahead, is such a silence, too. The holder then finds its claim gone, or
what it wants to create there already, and gives up. Readers find a case by its record alone, and what is left
of a dead attempt goes when its claim is swept.
"""

from __future__ import annotations

import time
from pathlib import Path

from gpuprep.store.layout import RECORD_FILE, STAGING_FOLDER, case_path
from gpuprep.store.objects.claims import Claim
from gpuprep.store.objects.path import ObjectPath
from gpuprep.values.errors import StoreError

RUN_CLAIM = ".run.json"
_CLAIM_SUFFIX = ".json"
_SILENCE = 60.0
"""Seconds after which the claim of an attempt on another machine counts as dead."""
_RENEWED_EVERY = 20.0  # seconds
_PATIENCE = 150.0  # seconds for another attempt to end
_PAUSE = 1.0


def upload_case(folder: Path, root: ObjectPath, case_id: str, *, replace: bool = False) -> bool:
    """Publish the case that was built in ``folder``.

    Another attempt at it is waited for.

    Returns:
        True if this attempt is now the case, False if the case was there already.

    Args:
        folder: A whole case, its record written.
        root: The cohort.
        case_id: Its id.
        replace: Put it in the place of a finished one; while that lasts there is no such case.

    Raises:
        StoreError: another attempt got in between, or did not end.
        RunStopped: the store takes nothing.
    """
    target = root / case_path(case_id)
    claim = Claim(root / STAGING_FOLDER / f"{case_id}{_CLAIM_SUFFIX}", expires=_SILENCE)
    if not _take(claim, target, replace=replace):
        return False
    try:
        if (target / RECORD_FILE).stat() is not None and not replace:
            return False
        clear_case(target)
        _create_all(folder, target, claim)
    except BaseException:
        if claim.is_held() and (target / RECORD_FILE).stat() is None:
            clear_case(target)
        raise
    finally:
        claim.release()
    return True


def _take(claim: Claim, target: ObjectPath, *, replace: bool) -> bool:
    """Get the claim; False where another attempt stored the case."""
    until = time.monotonic() + _PATIENCE
    while not claim.take():
        if not replace and (target / RECORD_FILE).stat() is not None:
            return False
        if time.monotonic() > until:
            raise StoreError(
                f"{target}: another attempt at this case has held {claim.path} for {_PATIENCE:g} s",
                advice="run only one run at a time on an output; run the same command again",
            )
        time.sleep(_PAUSE)
    return True


def _create_all(folder: Path, target: ObjectPath, claim: Claim) -> None:
    """Create every object of a case, its record last."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    renewed = time.monotonic()
    for name in (*sorted(names - {RECORD_FILE}), RECORD_FILE):
        lost = name == RECORD_FILE and not claim.is_held()
        if not lost and time.monotonic() - renewed >= _RENEWED_EVERY:
            lost, renewed = not claim.renew(), time.monotonic()
        if lost or (target / name).create((folder / name).read_bytes()) is None:
            raise StoreError(
                f"{target / name}: another attempt at this case is writing here",
                advice="run only one run at a time on an output; run the same command again",
            )


def clear_case(target: ObjectPath) -> None:
    """Delete a case, its record first, so that nobody takes what is left for one."""
    names = [name for name, _ in target.files()]
    target.delete([RECORD_FILE] if RECORD_FILE in names else [])
    target.delete([name for name in names if name != RECORD_FILE])


def sweep_uploads(root: ObjectPath) -> int:
    """Remove the claims and leftovers of attempts; only the holder of the output may, when none runs.

    Returns:
        How many there were.
    """
    staging = root / STAGING_FOLDER
    claims = [name for name, _ in staging.files() if name != RUN_CLAIM]
    for name in claims:
        target = root / case_path(name.removesuffix(_CLAIM_SUFFIX))
        if (target / RECORD_FILE).stat() is None:
            clear_case(target)
    staging.delete(claims)
    return len(claims)
