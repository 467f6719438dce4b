"""The list of jobs in SQLite: quick to page through, made anew from the jobs' folders where it is lost.

One process has one connection and uses it from one thread, so nothing is ever locked. What counts as
accepted is the job's folder, so the database need not wait for the disk.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from gpuprep.service.jobs import JOBS_FOLDER, WORKING, Job, JobFolder, State
from gpuprep.values.errors import CorruptStoreError, StoreFault

DATABASE_FILE = "jobs.sqlite"

_SCHEMA = """
create table if not exists jobs (
  seq integer primary key autoincrement,
  id text not null unique,
  owner text not null,
  output text not null,
  state text not null,
  priority integer not null,
  job text not null
);
create index if not exists jobs_by_state on jobs (state, seq);
create index if not exists jobs_by_owner on jobs (owner, seq);
create index if not exists jobs_by_output on jobs (output, seq);
create table if not exists keys (
  owner text not null, key text not null, digest text not null, job text not null,
  primary key (owner, key)
) without rowid;
"""


class Database:
    """The jobs of a service, by the order of their submission."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / DATABASE_FILE
        self.rebuilt = ""
        """Why it had to be made anew from the folders; empty where it had not."""
        self._connection = self._open()

    def close(self) -> None:
        self._connection.close()

    def _open(self) -> sqlite3.Connection:
        there = self._path.exists()
        try:
            connection = self._connect()
            if connection.execute("pragma quick_check").fetchone()[0] == "ok":
                if not there:
                    self.rebuilt = "there was none" if self._rebuild(connection) else ""
                return connection
            connection.close()
        except sqlite3.DatabaseError:
            pass
        self._set_aside()
        connection = self._connect()
        self._rebuild(connection)
        self.rebuilt = "it was damaged"
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        for line in ("journal_mode = wal", "synchronous = normal", "temp_store = memory"):
            connection.execute(f"pragma {line}")
        connection.executescript(_SCHEMA)
        return connection

    def _set_aside(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                path = Path(f"{self._path}{suffix}")
                path.replace(f"{path}.damaged")

    def _rebuild(self, connection: sqlite3.Connection) -> int:
        """Enter every job that has a folder, in the order of their submission."""
        jobs = []
        for folder in (self._folder / JOBS_FOLDER).glob("*/"):
            with suppress(CorruptStoreError):
                jobs.append(JobFolder(folder).read())
        jobs.sort(key=lambda job: (job.seq, job.created))
        with connection:
            connection.execute("begin")
            for job in jobs:
                _insert(connection, job)
        return len(jobs)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing. Raises StoreFault where the disk refuses."""
        try:
            self._connection.execute("begin immediate")
            with self._connection:
                yield self._connection
        except sqlite3.Error as error:
            raise StoreFault(f"the list of jobs cannot be written: {error}") from None

    def add(self, job: Job) -> Job:
        """Enter a new job; its place in the order is in the job that comes back."""
        with self._writing() as connection:
            return _insert(connection, job)

    def next_seq(self) -> int:
        """The place that the next job will have, but for another that comes first."""
        row = self._connection.execute(
            "select seq from sqlite_sequence where name = 'jobs'"
        ).fetchone()
        return int(row[0]) + 1 if row else 1

    def save(self, job: Job) -> None:
        """Put a job's new state in place of its old one."""
        with self._writing() as connection:
            connection.execute(
                "update jobs set state = ?, priority = ?, job = ? where id = ?",
                (job.state, job.priority, json.dumps(job.to_json()), job.id),
            )

    def find(self, job_id: str) -> Job | None:
        return next(self._select("where id = ?", job_id), None)

    def by_key(self, owner: str, key: str) -> tuple[str, str] | None:
        """The hash of the request that came with a key, and its job."""
        row = self._connection.execute(
            "select digest, job from keys where owner = ? and key = ?", (owner, key)
        ).fetchone()
        return (row[0], row[1]) if row else None

    def waiting(self) -> Sequence[Job]:
        return list(self._select("where state = 'queued' order by seq"))

    def working(self) -> Sequence[Job]:
        marks = ",".join("?" * len(WORKING))
        return list(self._select(f"where state in ({marks}) order by seq", *WORKING))

    def last_of(self, output: str) -> Job | None:
        """The job that was last submitted for a cohort."""
        return next(self._select("where output = ? order by seq desc limit 1", output), None)

    def page(
        self,
        *,
        owner: str = "",
        state: State | None = None,
        output: str = "",
        before: int,
        limit: int,
    ) -> Sequence[Job]:
        """The newest jobs submitted before a place in the order, newest first."""
        wanted = {"owner": owner, "state": state, "output": output}
        given = {name: value for name, value in wanted.items() if value}
        where = "".join(f" and {name} = ?" for name in given)
        rest = f"where seq < ?{where} order by seq desc limit ?"
        return list(self._select(rest, before, *given.values(), limit))

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        rows = self._connection.execute("select state, count(*) from jobs group by state")
        return {str(row[0]): int(row[1]) for row in rows}

    def check(self) -> None:
        """Raises StoreFault where the database does not answer."""
        try:
            self._connection.execute("select 1 from jobs limit 1").fetchone()
        except sqlite3.Error as error:
            raise StoreFault(f"the list of jobs cannot be read: {error}") from None

    def _select(self, rest: str, *values: object) -> Iterator[Job]:
        try:
            for row in self._connection.execute(f"select seq, job from jobs {rest}", values):
                yield replace(Job.from_json(json.loads(row["job"])), seq=row["seq"])
        except sqlite3.Error as error:
            raise StoreFault(f"the list of jobs cannot be read: {error}") from None


def _insert(connection: sqlite3.Connection, job: Job) -> Job:
    values = (job.seq or None, job.id, job.owner, job.asked.output, job.state, job.priority)
    seq = connection.execute(
        "insert into jobs (seq, id, owner, output, state, priority, job) values (?,?,?,?,?,?,?)",
        (*values, json.dumps(job.to_json())),
    ).lastrowid
    if job.key:
        key, _, digest = job.key.rpartition(" ")
        connection.execute(
            "insert or replace into keys values (?,?,?,?)", (job.owner, key, digest, job.id)
        )
    return replace(job, seq=int(seq or 0))
