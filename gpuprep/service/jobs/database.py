"""The list of jobs in SQLite: quick to page through, made anew from the jobs' folders where it is lost.

One process writes, over one connection and from one thread; another connection reads, so that no reader waits
for the disk. Jobs that are not over are kept in memory as well. What counts as accepted is the job's folder,
so the database need not wait for the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gpuprep.host.failpoints import failpoint
from gpuprep.service.jobs.folder import JOBS_FOLDER, JobFolder
from gpuprep.service.jobs.folders import Folders, Known
from gpuprep.service.jobs.job import ENDED, WORKING, Job, State
from gpuprep.service.jobs.table import connect, is_damage, job_in, put
from gpuprep.values.errors import StoreFault

DATABASE_FILE = "jobs.sqlite"


class Database:
    """The jobs of a service, by the order of their submission.

    Raises StoreFault where it can be neither read nor made.
    """

    def __init__(self, folder: Path) -> None:
        self._jobs = folder / JOBS_FOLDER
        self._path = folder / DATABASE_FILE
        self.rebuilt = ""
        """Why it had to be made anew from the folders; empty where it had not."""
        self.damaged: tuple[str, ...] = ()
        """Folders of which nobody can tell any more what job they were."""
        self.version = 0
        """Moves whenever a job changes."""
        self._torn = False
        self._open_jobs: dict[str, Job] = {}
        try:
            self._open()
        except sqlite3.Error as error:
            raise StoreFault(
                f"the list of jobs, {self._path}, cannot be opened: {error}",
                advice="see that the disk has room and the file may be written",
            ) from None

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def _open(self) -> None:
        there = self._path.exists()
        if not there:
            self._set_aside()  # what a lost database left would be taken for this one's
        try:
            self._writer = connect(self._path)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._set_aside()
            self._writer = connect(self._path)
            self.rebuilt = "it was damaged"
        found = self._enter_folders()
        if not there and found:
            self.rebuilt = "there was none"
        self._reader = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._reader.row_factory = sqlite3.Row
        self._reader.execute("pragma query_only = on")
        marks = ",".join("?" * len(ENDED))
        for job in self._select(f"where state not in ({marks}) order by seq", *ENDED):
            self._open_jobs[job.id] = job
        self.version += 1
        self._torn = False

    def _set_aside(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                path = Path(f"{self._path}{suffix}")
                path.replace(f"{path}.damaged")

    def _enter_folders(self) -> int:
        """Make the list say what the folders say; how many jobs were entered or changed."""
        rows = self._writer.execute("select id, seq, state, end_stamp from jobs")
        known = {row["id"]: Known(row["seq"], row["state"], row["end_stamp"]) for row in rows}
        folders = Folders(self._jobs, self._listed)
        with self._transaction() as connection:
            for job in folders.changed(known):
                put(connection, job, JobFolder(self._jobs / job.id).end_stamp() * job.is_over)
        self.damaged = tuple(folders.damaged)
        return folders.found

    def _listed(self, job_id: str) -> Job:
        query = "select seq, job from jobs where id = ?"
        return job_in(self._writer.execute(query, (job_id,)).fetchone())

    def mend(self) -> None:
        """Make the list anew where it was found to be damaged; what is in hand goes on."""
        if not self._torn:
            return
        in_hand = dict(self._open_jobs)
        for connection in (self._reader, self._writer):
            with suppress(sqlite3.Error):
                connection.close()
        try:
            self._set_aside()
            self._open()
            self.rebuilt = "it was damaged"
            with self._transaction() as connection:
                for job in in_hand.values():
                    put(connection, job, 0)
        except (sqlite3.Error, OSError) as error:
            raise StoreFault(f"the list of jobs cannot be made anew: {error}") from None
        finally:
            self._open_jobs = in_hand

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._writer.execute("begin immediate")
        with self._writer:
            yield self._writer

    def _write(self, job: Job) -> Job:
        """All of it or nothing. Raises StoreFault where the disk refuses."""
        stamp = JobFolder(self._jobs / job.id).end_stamp() if job.is_over else 0
        for last in (False, True):
            try:
                self.mend()
                with self._transaction() as connection:
                    return put(connection, job, stamp)
            except sqlite3.Error as error:
                fault = self._fault("written", error)
                if last or not self._torn:
                    raise fault from None
        raise AssertionError

    def add(self, job: Job) -> Job:
        """Enter a new job; its place in the order is in the job that comes back."""
        job = self._write(job)
        self._show(job)
        return job

    def save(self, job: Job, tell: Callable[[Job], None] = lambda _: None) -> None:
        """Put a job's new state in place of its old one; ``tell`` of it before anybody sees it."""
        job = self._write(job)
        failpoint("after_save", f"{job.id} {job.state}")
        tell(job)
        self._show(job)

    def _show(self, job: Job) -> None:
        if job.is_over:
            self._open_jobs.pop(job.id, None)
        else:
            self._open_jobs[job.id] = job
        self.version += 1

    def next_seq(self) -> int:
        """The place that the next job will have, but for another that comes first."""
        query = "select seq from sqlite_sequence where name = 'jobs'"
        try:
            rows = self._rows(query)
        except StoreFault:
            self.mend()
            rows = self._rows(query)
        return int(rows[0][0]) + 1 if rows else 1

    def find(self, job_id: str) -> Job | None:
        known = self._open_jobs.get(job_id)
        return known or next(iter(self._select("where id = ?", job_id)), None)

    def by_key(self, owner: str, key: str) -> tuple[str, str] | None:
        """The hash of the request that came with a key, and its job."""
        query = "select digest, job from keys where owner = ? and key = ?"
        return next(((row[0], row[1]) for row in self._rows(query, owner, key)), None)

    def waiting(self) -> Sequence[Job]:
        """Those that wait for their turn, the oldest first."""
        return self._in_state(frozenset({"queued"}))

    def working(self) -> Sequence[Job]:
        """Those that were begun and are not over, the oldest first."""
        return self._in_state(WORKING)

    def _in_state(self, states: frozenset[State]) -> Sequence[Job]:
        found = [job for job in list(self._open_jobs.values()) if job.state in states]
        return sorted(found, key=lambda job: job.seq)

    def last_of(self, output: str) -> Job | None:
        """The job that was last submitted for a cohort."""
        return next(iter(self._select("where output = ? order by seq desc limit 1", output)), None)

    def last_ended(self) -> Job | None:
        """The job that ended last."""
        return next(iter(self._select("where end_stamp > 0 order by end_stamp desc limit 1")), None)

    def page(
        self,
        *,
        owner: str = "",
        states: Sequence[State] = (),
        output: str = "",
        before: int,
        limit: int,
    ) -> Sequence[Job]:
        """The newest jobs submitted before a place in the order, newest first; of ``states``, if any."""
        wanted = {"owner": owner, "output": output}
        given = {name: value for name, value in wanted.items() if value}
        given |= {f"state{k}": state for k, state in enumerate(states)}
        where = "".join(f" and {name} = ?" for name in wanted if name in given)
        where += f" and state in ({','.join('?' * len(states))})" if states else ""
        rest = f"where seq < ?{where} order by seq desc limit ?"
        return self._select(rest, before, *given.values(), limit)

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        rows = self._rows("select state, count(*) from jobs group by state")
        return {str(row[0]): int(row[1]) for row in rows}

    def check(self) -> None:
        """Raises StoreFault where the database does not answer."""
        self._rows("select 1 from jobs limit 1")

    def _select(self, rest: str, *values: object) -> list[Job]:
        rows = self._rows(f"select seq, job from jobs {rest}", *values)
        return [job_in(row) for row in rows]

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        try:
            return self._reader.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._fault("read", error) from None

    def _fault(self, what: str, error: sqlite3.Error) -> StoreFault:
        self._torn = self._torn or is_damage(error)
        return StoreFault(f"the list of jobs cannot be {what}: {error}")
