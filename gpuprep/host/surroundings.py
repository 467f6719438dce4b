"""What keeps this process from having worker processes of its own."""

from __future__ import annotations

import multiprocessing
import socket

_LOOPBACK = "127.0.0.1"
_PATIENCE = 5.0  # seconds; a loopback that is there answers at once


def no_workers_because() -> str:
    """Why workers that are reached over loopback cannot be started from here; empty where they can."""
    if multiprocessing.current_process().daemon:
        return (
            "this is a daemonic process (a worker of multiprocessing.Pool or Celery), "
            "and Python allows these no child processes"
        )
    try:
        with socket.create_server((_LOOPBACK, 0)) as server:
            socket.create_connection(server.getsockname(), _PATIENCE).close()
    except OSError as error:
        return f"there is no network on {_LOOPBACK} ({error.strerror or error})"
    return ""
