"""Settings of `exuvia studio`: where it listens, what it offers, and how much one request may ask for."""

import ipaddress
import unicodedata
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import Field

from exuvia.config import Count, Positive, settings
from exuvia.device import Device
from exuvia.errors import ConfigError

LANES = ("quick", "long")
"""Lanes with one worker process each: `quick` for motion that a user waits for, `long` for jobs of minutes."""


def is_loopback(host: str) -> bool:
    """Return whether a name or address is local to this machine, unreachable from others."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@settings
class Limits:
    """Limits of requests and jobs."""

    body_bytes: Count = 8_000_000
    """Maximum size of a request, including an uploaded file."""
    prompts: Count = 64
    """Maximum number of prompts in one request for motion."""
    motions: Count = 256
    """Maximum product of prompts, seeds and generators in one request for motion."""
    audit_prompts: Count = 2000
    """Maximum product of prompts and seeds in one audit."""
    waiting: Count = 500
    """Maximum number of waiting jobs; more are refused."""
    frames: Count = 20_000
    """Maximum number of frames of an uploaded motion."""
    read_bytes: Count = 1_000_000_000
    """Memory for reading an uploaded motion."""
    read_s: Positive = 20.0
    """Time limit for reading an uploaded motion."""
    head_s: Positive = 15.0
    """Time limit for the head of a request to arrive."""
    body_s: Positive = 120.0
    """Time limit for the body of a request to arrive."""
    quick_s: Positive = 900.0
    """Time limit of a job in the quick lane."""
    long_s: Positive = 6 * 3600.0
    """Time limit of a job in the long lane."""


@settings
class Settings:
    """Settings of a studio."""

    pipelines: Mapping[str, str] = field(default_factory=dict)
    """Generators in addition to the shipped one: a name and a folder each, as in `--pipelines safe runs/safe`."""
    data: Mapping[str, Path] = field(default_factory=dict)
    """Data sets from which methods can learn a concept: a name and a folder made by `exuvia prepare` each."""
    reports: Mapping[str, Path] = field(default_factory=dict)
    """Reports to show: a name and a folder made by `exuvia benchmark`, or an HTML page, each."""
    folder: Path = Path("studio")
    """Folder for motions, marks and edited generators."""
    database: str = ""
    """URL of a PostgreSQL database, postgresql://USER:PASSWORD@HOST/NAME; empty: a SQLite file in the folder."""
    host: str = "127.0.0.1"
    """Address to listen at. Addresses that other machines can reach need a token."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8010
    """Port to listen at; 0 takes a free one."""
    token: str = ""
    """Secret that every visitor needs; `new` generates one. The variable EXUVIA_STUDIO_TOKEN is safer: other accounts
    of the machine can read command lines."""
    device: Device = "cpu"
    """Device of the models: cpu, cuda, cuda:1, mps."""
    threads: Count = 1
    """CPU threads of each of the two workers."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in self.token):
            raise ConfigError(
                "found a control character in the token, expected letters, digits, punctuation and spaces"
            )

    @property
    def url(self) -> str:
        """URL of the database for SQLAlchemy."""
        if not self.database:
            return f"sqlite:///{(self.folder / 'studio.sqlite').absolute()}"
        return self.database.replace("postgresql://", "postgresql+psycopg://", 1)

    def data_set(self, name: str | None) -> Path | None:
        """Return the folder of a data set by its name. Raises ConfigError."""
        if name is not None and name not in self.data:
            raise ConfigError(f"there is no data set {name[:40]!r} here; known: {', '.join(self.data) or 'none'}")
        return None if name is None else self.data[name]
