"""Hosts in network namespaces: each has its own addresses and a link to one switch that can be cut."""

import contextlib
import subprocess
import uuid
from collections.abc import Iterator

import pytest


class Hosts:
    """``run`` and ``start`` execute on a host; ``cut`` and ``join`` pull and plug its link."""

    def __init__(self, *names: str) -> None:
        self.addresses = {name: f"10.77.0.{number}" for number, name in enumerate(names, 1)}
        self._mark = uuid.uuid4().hex[:6]

    def prefix(self, name: str) -> list[str]:
        return ["ip", "netns", "exec", f"gp-{self._mark}-{name}"]

    def run(
        self, name: str, *command: str, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.prefix(name), *command], capture_output=True, text=True, timeout=timeout
        )

    def start(self, name: str, *command: str, log) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self.prefix(name), *command], stdout=log, stderr=log)

    def cut(self, name: str) -> None:
        _ip("-n", f"gp-{self._mark}-switch", "link", "set", f"to-{name}", "down")

    def join(self, name: str) -> None:
        _ip("-n", f"gp-{self._mark}-switch", "link", "set", f"to-{name}", "up")

    def build(self) -> None:
        switch = f"gp-{self._mark}-switch"
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for name, address in self.addresses.items():
            host = f"gp-{self._mark}-{name}"
            _ip("netns", "add", host)
            _ip(
                "-n",
                switch,
                "link",
                "add",
                f"to-{name}",
                "type",
                "veth",
                "peer",
                "eth",
                "netns",
                host,
            )
            _ip("-n", switch, "link", "set", f"to-{name}", "master", "bridge", "up")
            _ip("-n", host, "address", "add", f"{address}/24", "dev", "eth")
            for device in ("eth", "lo"):
                _ip("-n", host, "link", "set", device, "up")

    def remove(self) -> None:
        for name in (*self.addresses, "switch"):
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", f"gp-{self._mark}-{name}")


@contextlib.contextmanager
def hosts(*names: str) -> Iterator[Hosts]:
    """Hosts that can reach one another; the test is skipped where they may not be made."""
    made = Hosts(*names)
    try:
        made.build()
    except (OSError, subprocess.CalledProcessError) as error:
        made.remove()
        pytest.skip(f"network namespaces cannot be made here: {getattr(error, 'stderr', error)}")
    try:
        yield made
    finally:
        made.remove()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
