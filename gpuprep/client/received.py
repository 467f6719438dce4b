"""What a receiver of webhooks does with a request before it believes it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass

from gpuprep.client.answers import ENDED, value_of
from gpuprep.values.errors import ServiceError, UsageError

_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class JobEnd:
    """The end of a job, as a service tells it. Times are seconds since the epoch, UTC."""

    id: str
    owner: str
    state: str
    cohort: str
    cases: int = 0
    created: float = 0.0
    started: float = 0.0
    ended: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Whether every case is stored."""
        return self.state == "succeeded"


def read_webhook(
    headers: Mapping[str, str], body: bytes, key: str, *, window: float = 300.0
) -> JobEnd:
    """The end of a job in a request that a service sent.

    The same end may come more than once; ``webhook-id`` tells it.

    Args:
        headers: Of the request.
        body: Of the request, as it came.
        key: The text of the service's ``webhooks.key``.
        window: Seconds that a message may be old, or ahead; one that is repeated later is refused.

    Raises:
        ServiceError: it was not signed with that key, or not lately.
        UsageError: the key is none.
    """
    try:
        secret = base64.b64decode(key.strip().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise UsageError("the key of a webhook is Base64, with whsec_ before it") from None
    given = {name.lower(): value for name, value in headers.items()}
    identity, stamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    signed = b".".join((identity.encode(), stamp.encode(), body))
    expected = base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    told = [part.partition(",")[2] for part in given.get("webhook-signature", "").split()]
    if not any(hmac.compare_digest(each.encode(), expected.encode()) for each in told):
        raise _refused("its signature is not that of the key")
    if not stamp.isdecimal() or abs(time.time() - int(stamp)) > window:
        raise _refused(f"it was not sent within {window:g} s")
    try:
        end = value_of(JobEnd, json.loads(body)["data"])
    except (ValueError, KeyError, TypeError):
        raise _refused("it tells of no job") from None
    if end.state not in ENDED:
        raise _refused(f"{end.state!r} is not how a job ends")
    return end


def _refused(why: str) -> ServiceError:
    return ServiceError(f"the webhook is not believed: {why}", code="E_WEBHOOK", status=400)
