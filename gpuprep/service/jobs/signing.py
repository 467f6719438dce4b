"""The key of webhooks, and what it makes of a message."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from gpuprep.host.atomic import replaced
from gpuprep.values.errors import ConfigError

KEY_FILE = "webhooks.key"
_PREFIX = "whsec_"  # of Standard Webhooks: what follows is Base64
_LEAST_BYTES = 24


def load_key(folder: Path, file: str = "") -> bytes:
    """The key in a file; without one, that of the service's folder, which is made where there is none.

    Raises:
        ConfigError: it cannot be read, or is too short to hold anybody off.
    """
    path = folder / (file or KEY_FILE)
    if not file and not path.exists():
        with replaced(path, fsync=True) as partial:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as written:
                written.write(_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
    try:
        text = path.read_text("ascii").strip()
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (OSError, UnicodeDecodeError, binascii.Error) as error:
        raise ConfigError(
            f"webhooks.secret_file {path} cannot be read: {error}",
            advice=f"write {_PREFIX} and the Base64 of 32 random bytes into it",
        ) from None
    if len(key) < _LEAST_BYTES:
        raise ConfigError(
            f"webhooks.secret_file {path} holds {len(key)} bytes; at least {_LEAST_BYTES} are needed"
        )
    return key


def signature(key: bytes, identity: str, stamp: str, body: bytes) -> str:
    """The header ``webhook-signature`` of a message."""
    signed = hmac.digest(key, b".".join((identity.encode(), stamp.encode(), body)), hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"
