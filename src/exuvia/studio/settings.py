"""What `exuvia studio` is started with: where it listens, what it offers, and what it lets anyone ask of it."""

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import Field

from exuvia.config import Count, Positive, settings
from exuvia.device import Device
from exuvia.errors import ConfigError

LOOPBACK = ("127.0.0.1", "::1", "localhost")
LANES = ("quick", "long")
"""A worker process each: motion for someone who waits, and everything that takes minutes."""


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
    """Secret that every visitor must know; also from the environment, EXUVIA_STUDIO_TOKEN. `new` makes one up."""
    device: Device = "cpu"
    """Where the models run: cpu, cuda, cuda:1, mps."""
    threads: Count = 1
    """Threads of each of the two workers."""
    limits: Limits = field(default_factory=Limits)

    @property
    def url(self) -> str:
        """Of the database, for SQLAlchemy."""
        if not self.database:
            return f"sqlite:///{(self.folder / 'studio.sqlite').absolute()}"
        return self.database.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK

    def data_set(self, name: str | None) -> Path | None:
        """Folder of a data set by its name. Raises ConfigError."""
        if name is not None and name not in self.data:
            raise ConfigError(f"there is no data set {name[:40]!r} here; known: {', '.join(self.data) or 'none'}")
        return None if name is None else self.data[name]
