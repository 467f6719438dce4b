"""The table of jobs in SQLite: made, checked, and written one job at a time."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

from gpuprep.service.jobs.job import Job

_VERSION = 2
_SCHEMA = """
create table if not exists jobs (
  seq integer primary key autoincrement,
  id text not null unique,
  owner text not null,
  output text not null,
  state text not null,
  priority integer not null,
  end_stamp integer not null,
  job text not null
);
create index if not exists jobs_by_state on jobs (state, seq);
create index if not exists jobs_by_owner on jobs (owner, seq);
create index if not exists jobs_by_output on jobs (output, seq);
create index if not exists jobs_by_end on jobs (end_stamp);
create table if not exists keys (
  owner text not null, key text not null, digest text not null, job text not null,
  primary key (owner, key)
) without rowid;
"""
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def connect(path: Path) -> sqlite3.Connection:
    """The connection that writes. Raises sqlite3.Error, of which ``is_damage`` tells what is wrong."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        for line in ("journal_mode = wal", "synchronous = normal", "temp_store = memory"):
            connection.execute(f"pragma {line}")
        version = connection.execute("pragma user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise _damage(f"it is of version {version}")
        connection.executescript(f"{_SCHEMA} pragma user_version = {_VERSION};")
        if (told := connection.execute("pragma quick_check").fetchone()[0]) != "ok":
            raise _damage(told)
    except BaseException:
        connection.close()
        raise
    return connection


def job_in(row: sqlite3.Row) -> Job:
    """The job of a row, which has its place in the order."""
    return replace(Job.from_json(json.loads(row["job"])), seq=row["seq"])


def is_damage(error: sqlite3.Error) -> bool:
    """Whether it is the file that is wrong, and not the disk under it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED


def _damage(told: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(told)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def put(connection: sqlite3.Connection, job: Job, stamp: int) -> Job:
    """Enter a job, or what is new of it; another's place in the order is never taken."""
    row = connection.execute("select seq from jobs where id = ?", (job.id,)).fetchone()
    if row is None:
        taken = connection.execute("select 1 from jobs where seq = ?", (job.seq,)).fetchone()
        seq = connection.execute(
            "insert into jobs (seq, id, owner, output, state, priority, end_stamp, job) "
            "values (?,?,?,?,?,?,?,?)",
            (
                *(None if taken or not job.seq else job.seq, job.id, job.owner, job.asked.output),
                *(job.state, job.priority, stamp, json.dumps(job.to_json())),
            ),
        ).lastrowid
    else:
        seq = row["seq"]
        connection.execute(
            "update jobs set state = ?, priority = ?, end_stamp = ?, job = ? where id = ?",
            (job.state, job.priority, stamp, json.dumps(job.to_json()), job.id),
        )
    if job.key and row is None:
        key, _, digest = job.key.rpartition(" ")
        connection.execute(
            "insert or ignore into keys values (?,?,?,?)", (job.owner, key, digest, job.id)
        )
    return replace(job, seq=int(seq or 0))
