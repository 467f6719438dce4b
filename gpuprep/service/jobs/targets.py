"""Where webhooks may go: to hosts that the operator lists, by the addresses that these have now."""

from __future__ import annotations

import asyncio
import fnmatch
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from gpuprep.service.problems import Problem

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Target:
    """A URL whose host is an address that was checked, so that nothing is looked up again."""

    url: str
    host: str
    host_header: str


def check_listed(url: str, hosts: Sequence[str]) -> None:
    """Refuse a URL that no entry of the list means. Raises Problem 422."""
    try:
        parts = _parted(url)
        listed = _entry(parts.hostname or "", hosts) is not None
    except ValueError:
        raise Problem(422, "the webhook is no URL", code="E_WEBHOOK") from None
    if not listed:
        raise Problem(
            422,
            f"webhooks may not go to {parts.hostname!r}",
            code="E_WEBHOOK",
            advice="its operator lists hosts in the settings: webhooks.hosts",
        )


async def find_target(url: str, hosts: Sequence[str]) -> Target:
    """Where a URL leads now.

    Raises:
        ValueError: to no host of the list, or to an address where it may not.
        OSError: its host has no address.
    """
    parts = _parted(url)
    host = parts.hostname or ""
    entry = _entry(host, hosts)
    if entry is None:
        raise ValueError(f"{host} is not on the list of hosts")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(each[4][0]) for each in found]
    for address in addresses:
        _check(host, address, entry)
    chosen = addresses[0]
    place = f"[{chosen}]" if chosen.version == 6 else str(chosen)
    return Target(
        parts._replace(netloc=f"{place}:{port}", fragment="").geturl(), host, parts.netloc
    )


def _parted(url: str) -> SplitResult:
    """Raises ValueError where it is no URL of a web server, or holds a user or password."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError("no URL of a web server without user and password")
    _ = parts.port  # is checked when it is read
    return parts


def _entry(host: str, hosts: Sequence[str]) -> str | None:
    """The entry of the list that means a host: its own name, or a pattern such as ``*.example.org``."""
    names = [entry.lower() for entry in hosts]
    if host in names:
        return host
    return next((entry for entry in names if fnmatch.fnmatchcase(host, entry)), None)


def _check(host: str, address: Address, entry: str) -> None:
    """A pattern leads to the outside alone; a name that is listed itself, also to a house's own machines.

    Addresses of a link, where clouds keep their credentials, must be listed as addresses.
    """
    mapped = getattr(address, "ipv4_mapped", None) or address
    outside = mapped.is_global and not mapped.is_multicast
    if entry == str(address) or outside:
        return
    never = mapped.is_link_local or mapped.is_unspecified or mapped.is_reserved
    inside = mapped.is_loopback or (mapped.is_private and not never)
    if entry != host or not inside:
        raise ValueError(f"{host} leads to {address}, which is not a place for webhooks")
