"""The settings of a service: one strict YAML, checked whole before the service starts."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, field_validator

from gpuprep.config.cluster import ClusterSpec, is_loopback
from gpuprep.config.file import anchor, explained, parse_config, read_yaml
from gpuprep.config.model import Config
from gpuprep.config.strict import Count, Positive, Strict
from gpuprep.host.resources import available_cores, available_memory
from gpuprep.service.jobs.signing import load_key
from gpuprep.values.errors import ConfigError, UsageError
from gpuprep.values.units import parse_bytes

SETTINGS_FILE = "service.yaml"
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_HOST = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$|^\[?[0-9A-Fa-f:]+\]?$"
_ORIGIN = r"^https?://[a-z0-9.-]+(:[0-9]{1,5})?$"
OWN_EXECUTORS = frozenset({"local", "serial"})
EVERYWHERE = frozenset({"", "0.0.0.0", "::"})
"""Addresses to listen at that are no name of the host."""


class Limits(Strict):
    """What clients may ask for together, and each by itself."""

    jobs: Count = 2
    """Jobs at work at one time."""
    queued: Count = 1000
    """Jobs that wait, of one user."""
    workers: Count | None = None
    """Worker processes of all jobs together; by default one per core."""
    memory: Annotated[int, Field(gt=0)] | str | None = None
    """Of all jobs together, as the plan projects it; by default what this machine has."""
    devices: tuple[Annotated[int, Field(ge=0)], ...] = ()
    """CUDA devices that jobs share out among themselves; without any, jobs see those of the machine."""
    body: Annotated[int, Field(gt=0)] | str = 1 << 20
    """Bytes of a request with JSON."""
    upload: Annotated[int, Field(gt=0)] | str = 2 << 30
    """Bytes of a volume that is sent."""
    body_seconds: Positive = 20.0
    """In which a request with JSON has come in."""
    upload_seconds: Positive = 600.0
    """In which a volume that is sent has come in."""
    streams: Count = 500
    """Clients that follow events at one time."""
    restarts: Annotated[int, Field(ge=0)] = 3
    """How often a job that died is resumed by itself."""

    @field_validator("memory", "body", "upload")
    @classmethod
    def _as_bytes(cls, given: int | str | None) -> int | None:
        return None if given is None else parse_bytes(given)


class Profile(Strict):
    """A config under a name, and the slots that are kept warm for single volumes."""

    config: dict[str, object] | str = Field(default_factory=dict)
    """The config itself, or its file, relative to the settings."""
    slots: Annotated[int, Field(ge=0, le=64)] = 0
    queue: Annotated[int, Field(ge=0)] = 8
    """Volumes that may wait for a slot; more are refused at once."""
    seconds: Positive = 60.0
    """For one volume."""


class Webhooks(Strict):
    """Where the ends of jobs may be told, and the key that signs them."""

    hosts: tuple[str, ...] = ()
    """Names, or patterns such as ``*.example.org``; only a name by itself may lead to private addresses."""
    secret_file: str = ""
    """With the key, relative to the settings; by default one is made in the folder of the service."""
    tries: Count = 8


class Settings(Strict):
    """Everything about a service that its operator decides."""

    version: Literal[1] = 1
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    names: tuple[Annotated[str, Field(pattern=_HOST)], ...] = ()
    """Host names, besides loopback's, under which clients reach the service."""
    behind_proxy: bool = False
    """A proxy on this host speaks TLS to the clients."""
    tls_certificate: str = ""
    tls_key: str = ""
    roots: dict[str, str] = Field(default_factory=dict)
    """Name → folder that clients may name as input."""
    outputs: str = ""
    """Where cohorts are made; by default ``cohorts`` in the folder of the service."""
    profiles: dict[str, Profile] = Field(default_factory=dict)
    clusters: dict[str, ClusterSpec] = Field(default_factory=dict)
    """What a job may name as ``executor``; ``local`` is always there."""
    cors: tuple[Annotated[str, Field(pattern=_ORIGIN)], ...] = ()
    """Origins of pages that may read chunks, such as ``https://viewer.example``."""
    limits: Limits = Limits()
    webhooks: Webhooks = Webhooks()
    on_stop: Literal["drain", "go_on"] = "go_on"
    """Jobs at work when the service ends: finish their cases and are resumed later, or work on."""

    @field_validator("clusters")
    @classmethod
    def _own_names(cls, given: dict[str, ClusterSpec]) -> dict[str, ClusterSpec]:
        for name in given.keys() & OWN_EXECUTORS:
            raise ValueError(f"{name!r} is this machine; give the cluster another name")
        return given

    @field_validator("roots", "profiles", "clusters")
    @classmethod
    def _plain_names(cls, given: dict[str, object]) -> dict[str, object]:
        for name in given:
            if not re.fullmatch(NAME, name):
                raise ValueError(f"{name!r} is no name; use letters, digits, '.', '_' and '-'")
        return given

    @property
    def workers(self) -> int:
        """Worker processes that all jobs may have together."""
        return self.limits.workers or available_cores()

    @property
    def memory(self) -> int:
        """Bytes that all jobs may have together."""
        return int(self.limits.memory or available_memory())

    def config_of(self, profile: str) -> Config:
        """The config of a profile. Raises KeyError for a name there is not."""
        return parse_config(self.profiles[profile].config, f"profile {profile}")  # type: ignore[arg-type]


def load_settings(folder: Path, file: Path | None = None) -> Settings:
    """The settings of the service in a folder, checked; all defaults where there is no file.

    Configs of profiles that are named by file are read in; paths are relative to the settings.

    Raises:
        ConfigError: what is wrong in it.
    """
    path = file or folder / SETTINGS_FILE
    if file is None and not path.exists():
        return Settings()
    try:
        settings = Settings.model_validate(read_yaml(path))
    except ValidationError as error:
        problems = explained(error, Settings)
        raise ConfigError(
            f"{path} is not valid:\n{problems}", advice="gpuprep guide operating has every key"
        ) from None
    settings = _located(settings, path.parent.absolute())
    _check_door(settings, path)
    if settings.webhooks.secret_file:
        load_key(folder, settings.webhooks.secret_file)
    return settings


def _located(settings: Settings, folder: Path) -> Settings:
    """The same with every path absolute, and profiles read in."""

    def absolute(given: str) -> str:
        return str(folder / given) if given and "://" not in given else given

    names = ("tls_certificate", "tls_key", "outputs")
    found: dict[str, object] = {name: absolute(getattr(settings, name)) for name in names}
    secret = absolute(settings.webhooks.secret_file)
    found["webhooks"] = settings.webhooks.model_copy(update={"secret_file": secret})
    found["profiles"] = {
        name: profile.model_copy(update={"config": _tree_of(name, profile, folder)})
        for name, profile in settings.profiles.items()
    }
    found["roots"] = {name: _root(name, given, folder) for name, given in settings.roots.items()}
    return settings.model_copy(update=found)


def with_roots(settings: Settings, given: Iterable[str]) -> Settings:
    """Settings with more roots, each written NAME=PATH. Raises UsageError for any other form."""
    roots = dict(settings.roots)
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or not re.fullmatch(NAME, name):
            raise UsageError(f"--root {text!r} is not of the form NAME=PATH")
        roots[name] = _root(name, path, Path())
    return settings.model_copy(update={"roots": roots})


def _tree_of(name: str, profile: Profile, folder: Path) -> dict[str, object]:
    given = profile.config
    file = folder / given if isinstance(given, str) else None
    tree = read_yaml(file) if file else dict(given)  # type: ignore[arg-type]
    anchor(tree, file.parent if file else folder)
    parse_config(tree, f"profile {name}" + (f" ({file})" if file else ""))
    return tree


def _root(name: str, given: str, folder: Path) -> str:
    path = (folder / given).resolve()
    if not path.is_dir():
        raise ConfigError(
            f"root {name}: {path} is not a folder", advice="make it, or mend the path"
        )
    return str(path)


def _check_door(settings: Settings, path: Path) -> None:
    """Off loopback only with TLS, or behind a proxy that speaks it; and only with a name to be called by."""
    pair = settings.tls_certificate, settings.tls_key
    if any(pair) and not all(pair):
        raise ConfigError(f"{path}: tls_certificate and tls_key belong together")
    if all(pair):
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*pair, password="")
        except (OSError, ValueError) as error:  # of ssl, too
            raise ConfigError(
                f"{path}: tls_certificate and tls_key cannot be used: {error}",
                advice="both are PEM files, the key without a passphrase",
            ) from None
    if is_loopback(settings.host):
        return
    if not (all(pair) or settings.behind_proxy):
        raise ConfigError(
            f"{path}: host {settings.host!r} is open to the network, and tokens would travel in plain text",
            advice="give tls_certificate and tls_key, or set behind_proxy: true where a proxy speaks TLS",
        )
    if settings.host in EVERYWHERE and not settings.names:
        raise ConfigError(
            f"{path}: host {settings.host!r} has no name, so that no client but this host's is answered",
            advice="list the names under which clients reach it: names",
        )
