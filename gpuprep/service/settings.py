"""The settings of a service: one strict YAML, checked whole before the service starts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AnyHttpUrl, Field, ValidationError, field_validator

from gpuprep.config.cluster import ClusterSpec, is_loopback
from gpuprep.config.file import parse_config, read_yaml
from gpuprep.config.model import Config
from gpuprep.config.strict import Count, Positive, Strict
from gpuprep.host.resources import available_cores, available_memory
from gpuprep.service.signing import load_key
from gpuprep.values.errors import ConfigError, UsageError
from gpuprep.values.units import parse_bytes

SETTINGS_FILE = "service.yaml"
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"


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
    devices: tuple[int, ...] = ()
    """CUDA devices that jobs share out among themselves; without any, jobs see those of the machine."""
    body: Annotated[int, Field(gt=0)] | str = 1 << 20
    """Bytes of a request with JSON."""
    upload: Annotated[int, Field(gt=0)] | str = 2 << 30
    """Bytes of a volume that is sent."""
    plan_seconds: Positive = 2.0
    """For the plan of a submission; what is not looked at by then the job finds out."""
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
    names: tuple[str, ...] = ()
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
    cors: tuple[AnyHttpUrl, ...] = ()
    """Origins of pages that may read chunks and cohorts."""
    limits: Limits = Limits()
    webhooks: Webhooks = Webhooks()
    on_stop: Literal["drain", "go_on"] = "go_on"
    """Jobs at work when the service ends: finish their cases and are resumed later, or work on."""

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
    tree = read_yaml(path)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        problems = "\n".join(
            f"  {'.'.join(str(part) for part in each['loc'])}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors()
        )
        raise ConfigError(f"{path} is not valid:\n{problems}") from None
    profiles = {
        name: profile.model_copy(update={"config": _tree_of(name, profile, path.parent)})
        for name, profile in settings.profiles.items()
    }
    roots = {name: _root(name, given, path.parent) for name, given in settings.roots.items()}
    secret = settings.webhooks.secret_file
    webhooks = settings.webhooks.model_copy(
        update={"secret_file": str((path.parent / secret).absolute()) if secret else ""}
    )
    if secret:
        load_key(path.parent, secret)
    update = {"profiles": profiles, "roots": roots, "webhooks": webhooks}
    settings = settings.model_copy(update=update)
    _check_door(settings, path)
    return settings


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
    tree = read_yaml(folder / given) if isinstance(given, str) else given
    parse_config(tree, f"profile {name}")
    return tree


def _root(name: str, given: str, folder: Path) -> str:
    path = (folder / given).resolve()
    if not path.is_dir():
        raise ConfigError(
            f"root {name}: {path} is not a folder", advice="make it, or mend the path"
        )
    return str(path)


def _check_door(settings: Settings, path: Path) -> None:
    """Off loopback only with TLS, or behind a proxy that speaks it."""
    both = bool(settings.tls_certificate) and bool(settings.tls_key)
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise ConfigError(f"{path}: tls_certificate and tls_key belong together")
    for file in filter(None, (settings.tls_certificate, settings.tls_key)):
        if not os.access(path.parent / file, os.R_OK):
            raise ConfigError(f"{path}: {path.parent / file} cannot be read")
    if not (is_loopback(settings.host) or both or settings.behind_proxy):
        raise ConfigError(
            f"{path}: host {settings.host} is open to the network, and tokens would travel in plain text",
            advice="give tls_certificate and tls_key, or set behind_proxy: true where a proxy speaks TLS",
        )
