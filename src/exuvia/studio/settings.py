"""What `exuvia studio` is started with: where it listens, what it offers, and what it lets anyone ask of it."""

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
"""A worker process each: motion for someone who waits, and everything that takes minutes."""


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, which no other machine can reach."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@settings
class Limits:
    """What one request may ask for."""

    body_bytes: Count = 8_000_000
    """Of any request, an uploaded file among them."""
    prompts: Count = 64
    """In one request for motion."""
    motions: Count = 256
    """Prompts times seeds times generators of one request for motion."""
    audit_prompts: Count = 2000
    """In one audit."""
    waiting: Count = 500
    """Jobs that may wait; more are refused until some are done."""
    frames: Count = 20_000
    """Most frames of an uploaded motion."""
    read_bytes: Count = 1_000_000_000
    """Memory in which an uploaded motion is read."""
    read_s: Positive = 20.0
    """Longest reading of an uploaded motion."""
    head_s: Positive = 15.0
    """In which the head of a request must be here."""
    body_s: Positive = 120.0
    """In which the body of a request must be here."""
    quick_s: Positive = 900.0
    """Longest run of a job of the quick lane."""
    long_s: Positive = 6 * 3600.0
    """Longest run of a job of the long lane."""


@settings
class Settings:
    """A studio."""

    pipelines: Mapping[str, str] = field(default_factory=dict)
    """More generators than the shipped one: a name and a folder each, as in `--pipelines safe runs/safe`."""
    data: Mapping[str, Path] = field(default_factory=dict)
    """Data sets that methods may learn a concept from: a name and a folder made by `exuvia prepare` each."""
    reports: Mapping[str, Path] = field(default_factory=dict)
    """Reports to show: a name and a folder made by `exuvia benchmark`, or a page, each."""
    folder: Path = Path("studio")
    """Where motions, marks and edited generators are kept."""
    database: str = ""
    """URL of a PostgreSQL database, postgresql://USER:PASSWORD@HOST/NAME; without it a file in the folder."""
    host: str = "127.0.0.1"
    """Address to listen at. Any but this machine's own needs a token."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8010
    """Port to listen at; 0 takes a free one."""
    token: str = ""
    """Secret that every visitor must know; `new` makes one up. Better in the environment, EXUVIA_STUDIO_TOKEN: other
    accounts of the machine can read a command, but not that."""
    device: Device = "cpu"
    """Where the models run: cpu, cuda, cuda:1, mps."""
    threads: Count = 1
    """Threads of each of the two workers."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in self.token):
            raise ConfigError("found a control character in the token, expected letters, digits, signs and blanks")

    @property
    def url(self) -> str:
        """Of the database, for SQLAlchemy."""
        if not self.database:
            return f"sqlite:///{(self.folder / 'studio.sqlite').absolute()}"
        return self.database.replace("postgresql://", "postgresql+psycopg://", 1)

    def data_set(self, name: str | None) -> Path | None:
        """Folder of a data set by its name. Raises ConfigError."""
        if name is not None and name not in self.data:
            raise ConfigError(f"there is no data set {name[:40]!r} here; known: {', '.join(self.data) or 'none'}")
        return None if name is None else self.data[name]
