"""Finds what may be looked at, and does the work of it in a few threads of its own."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.service.problems import Problem
from gpuprep.service.sights.sources import Sources
from gpuprep.store.agreement import read_agreement
from gpuprep.store.layout import CONFIG_FILE, case_path
from gpuprep.store.places import Place
from gpuprep.store.standing import read_standing
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.agreement import Agreement
from gpuprep.values.errors import CorruptStoreError, GpuprepError, NotArrays, StoreError, UsageError
from gpuprep.viewing.links import Links
from gpuprep.viewing.sight import Sight, StoredSight
from gpuprep.viewing.source_volume import read_source, source_problem
from gpuprep.viewing.thumbnail import thumbnail_png

_THREADS = 4
_VOLUMES = 8  # that are sent at the same time; each holds a slab, however slowly it is taken
_THUMBNAIL_BYTES = 64 << 20

Value = TypeVar("Value")


@dataclass(frozen=True)
class Seen:
    """A case as it stands now.

    Attributes:
        id: The case's.
        sight: What can be shown.
        links: Where its parts are read.
        version: Changes when the case does, and with what of its source may be shown.
        case: Its stored arrays; None for an input.
    """

    id: str
    sight: Sight
    links: Links
    version: str
    case: StoredCase | None


class Sights:
    """The cases of a service's cohorts, looked at."""

    def __init__(self, threads: int = _THREADS, output: str | None = None) -> None:
        """Of cases with several outputs that one is shown, by default the first."""
        self._output = output
        self.sources = Sources()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sights")
        self._readers = ThreadPoolExecutor(1, thread_name_prefix="sources")
        self._thumbnails: OrderedDict[str, bytes] = OrderedDict()
        self._volumes = 0

    def begin_volume(self) -> None:
        """Count a volume that is to be sent, until ``end_volume``.

        Raises:
            Problem: 503, as many are under way as may be.
        """
        if self._volumes >= _VOLUMES:
            raise Problem(
                503,
                f"{self._volumes} volumes are being sent, as many as may be at once",
                code="E_VOLUMES",
                advice="try again after the time in Retry-After",
                headers={"Retry-After": "2"},
            )
        self._volumes += 1

    def end_volume(self) -> None:
        """A volume that was begun is sent, or nobody wants the rest."""
        self._volumes -= 1

    async def work(self, what: Callable[[], Value]) -> Value:
        """Do blocking work in one of few threads; more wait for their turn.

        Raises:
            Problem: 500, what is stored is damaged; 503, a disk or a store gives nothing now.
            GpuprepError: any other of the work.
        """
        return await self._done_in(self._pool, what)

    async def prepare(self, sight: Sight, side: str) -> None:
        """Have a side's voxels at hand; sources are read one by one, and nothing else waits for them."""
        await self._done_in(self._readers, partial(sight.prepare, side))

    async def _done_in(self, pool: ThreadPoolExecutor, what: Callable[[], Value]) -> Value:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, what)
        except CorruptStoreError as error:
            text = "the case is damaged; run gpuprep verify on its cohort, then the case again"
            raise Problem(500, text, code="E_STORED") from error
        except (StoreError, OSError) as error:
            wait = {"retry-after": "1"}
            text = "the files of the case cannot be read now; ask again"
            raise Problem(503, text, code="E_STORE", headers=wait) from error

    def close(self) -> None:
        """Begin nothing more, and end what reads a source."""
        for pool in (self._pool, self._readers):
            pool.shutdown(wait=False, cancel_futures=True)
        self.sources.close()

    def look(self, place: Place, cohort: str, case_id: str, roots: list[str] | None) -> Seen:
        """A case of a cohort.

        Args:
            place: Where the cohort lies.
            cohort: Its name.
            case_id: The case's id.
            roots: Folders that sources may be read from; None for any.

        Raises:
            Problem: 404, there is no such case, or it was withdrawn.
            StoreError: it cannot be read.
        """
        try:
            folder = place / case_path(case_id)
            version = folder.version()
        except UsageError:
            version = None
        if version is None or case_id in read_standing(place).withdrawn:
            raise Problem(404, "there is no such case", code="E_CASE")
        try:
            case = StoredCase(folder, version=version, output=self._output)
        except NotArrays as error:
            raise Problem(
                404,
                "no arrays are stored of the case, only files of nnU-Net or counts: nothing to show",
                code="E_CASE",
            ) from error
        config, agreement = _made_with(place)
        sight = StoredSight(
            case,
            lambda: self.sources.get(
                (str(folder), version, tuple(roots or ())),
                partial(
                    read_source,
                    case.record,
                    config,
                    agreement=agreement,
                    roots=roots,
                    most_bytes=self.sources.most_bytes,
                ),
            ),
            cohort=cohort,
            problem=lambda: source_problem(case.record, roots),
            outside_zeroed=config.image.foreground.outside == "zero",
        )
        return Seen(case_id, sight, Links.of_case(cohort, case_id), f"{version} {roots}", case)

    def thumbnail(self, seen: Seen) -> bytes:
        """The small picture of a case, drawn once for each version of it."""
        if seen.case is None:
            raise Problem(404, "there is no thumbnail", code="E_CASE")
        key = f"{seen.case.path} {seen.version}"
        found = self._thumbnails.get(key)
        if found is None:
            found = self._thumbnails[key] = thumbnail_png(seen.case)
            while sum(map(len, self._thumbnails.values())) > _THUMBNAIL_BYTES:
                self._thumbnails.popitem(last=False)
        return found


def _made_with(place: Place) -> tuple[Config, Agreement | None]:
    """The config and the agreement of a cohort, as far as they can be read."""
    try:
        tree = json.loads(place.document(CONFIG_FILE))["config"]
        config = parse_config(tree, CONFIG_FILE)
    except (GpuprepError, KeyError, TypeError, ValueError):
        config = Config()
    try:
        return config, read_agreement(place)
    except StoreError:
        return config, None
