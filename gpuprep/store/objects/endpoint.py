"""Where requests to an object store go, and whether they may go unencrypted."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from gpuprep.values.errors import UsageError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def plain_http_allowed(bucket: str) -> bool:
    """Whether requests may go unencrypted: to this machine, or where the environment says so.

    Raises:
        UsageError: the endpoint is plain http:// on another machine.
    """
    endpoints = (os.environ.get(name) for name in _ENDPOINTS if bucket.startswith("s3"))
    endpoint = urlsplit(next(filter(None, endpoints), ""))
    asked = os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true")
    if endpoint.scheme != "http" or asked:
        return asked
    if endpoint.hostname not in _LOOPBACK:
        raise UsageError(
            f"the endpoint {endpoint.hostname} of {bucket} is http://, which anybody on the way can read",
            advice="use https://, or set AWS_ALLOW_HTTP=true",
        )
    return True


def token_may_travel(url: str) -> None:
    """See to it that a token goes encrypted, or to this machine, or where the environment says so.

    Raises:
        UsageError: the URL is plain http:// on another machine.
    """
    parts = urlsplit(url)
    asked = os.environ.get("GPUPREP_ALLOW_HTTP", "").lower() in ("1", "true")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not asked:
        raise UsageError(
            f"http://{parts.hostname}: anybody on the way could read the token",
            advice="use https://, or set GPUPREP_ALLOW_HTTP=true on a network that you trust",
        )
