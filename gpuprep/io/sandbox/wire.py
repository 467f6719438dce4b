"""How a sandbox and its child talk: JSON lines over a socket pair, with descriptors beside them."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

MESSAGE_LIMIT = 1 << 26
"""Bytes that one message may have; a series of many thousand files takes a few million."""


class Wire:
    """One end of the connection. Each message is one JSON object, and may bring one descriptor."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def close(self) -> None:
        self._connection.close()

    def send(
        self,
        message: Mapping[str, Any],
        descriptors: Sequence[int] = (),
        deadline: float | None = None,
    ) -> None:
        """Send a message; raises OSError if nobody is there, TimeoutError after the deadline."""
        line = json.dumps(message).encode() + b"\n"
        self._until(deadline)
        sent = socket.send_fds(self._connection, [line], descriptors) if descriptors else 0
        self._connection.sendall(memoryview(line)[sent:])

    def receive(self, deadline: float | None = None) -> tuple[dict[str, Any], list[int]]:
        """The next message and the descriptors that came with it; the caller closes them.

        Raises:
            EOFError: the other side is gone.
            TimeoutError: ``time.monotonic()`` passed the deadline.
        """
        pieces, descriptors, length = [self._rest], [], 0
        try:
            while b"\n" not in pieces[-1]:
                self._until(deadline)
                piece, received, _, _ = socket.recv_fds(
                    self._connection, 1 << 16, 1, socket.MSG_CMSG_CLOEXEC
                )
                descriptors += received
                length += len(piece)
                if not piece or length > MESSAGE_LIMIT:
                    raise EOFError("the connection ended")
                pieces.append(piece)
            line, _, self._rest = b"".join(pieces).partition(b"\n")
            message = json.loads(line)
            if not isinstance(message, dict):
                raise EOFError("the connection is garbled")
        except BaseException:
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        return message, descriptors

    def _until(self, deadline: float | None) -> None:
        if deadline is None:
            self._connection.settimeout(None)
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
