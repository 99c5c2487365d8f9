"""`exuvia studio`: the local web application."""

import ipaddress
import os
import secrets
import webbrowser
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from exuvia.config import Count, settings
from exuvia.errors import ConfigError, ExuviaError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@settings
class StudioConfig:
    """Where it listens and what it offers."""

    pipelines: dict[str, str] = field(default_factory=dict)
    """More generators than the shipped one: a name and a folder each, as in `--pipelines safe runs/safe`."""
    data: dict[str, Path] = field(default_factory=dict)
    """Data sets that methods may learn a concept from: a name and a folder made by `exuvia prepare` each."""
    reports: dict[str, Path] = field(default_factory=dict)
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
    device: str = "cpu"
    """Where the models run: cpu, cuda, cuda:1, mps."""
    threads: Count = 1
    """Of each of the two workers."""
    open: bool = False
    """Open the page in the browser."""


def studio(config: StudioConfig) -> None:
    """Serve the studio until it is interrupted.

    Raises:
        ConfigError: an address others can reach without a token, a name that cannot be used, or a missing library.
        OutputError: the folder, the database or the port cannot be used.
    """
    from exuvia.studio.serve import serve as serve_studio
    from exuvia.studio.settings import Settings

    token = config.token or os.environ.get("EXUVIA_STUDIO_TOKEN", "")
    token = secrets.token_urlsafe(24) if token == "new" else token
    if not _is_loopback(config.host) and len(token) < 16:
        raise ConfigError(
            f"{config.host} can be reached by others; set a token of at least 16 characters with --token "
            "or EXUVIA_STUDIO_TOKEN, or let one be made: --token new"
        )
    _check_offers(config)
    try:
        serve: Any = serve_studio
    except ImportError as error:
        raise ConfigError(f"the studio needs {error.name}; install it with: pip install 'exuvia[studio]'") from None
    settings = Settings(
        folder=config.folder,
        database=config.database,
        host=config.host,
        port=config.port,
        token=token,
        pipelines=config.pipelines,
        data=config.data,
        reports=config.reports,
        device=config.device,
        threads=config.threads,
    )
    serve(settings, _opener(config.open))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_offers(config: StudioConfig) -> None:
    from exuvia.checkpoint import find_pipeline

    for name in ("base", "") if set(config.pipelines) & {"base", ""} else ():
        raise ConfigError(f"a generator cannot be offered as {name!r}; choose another name")
    for name, place in config.pipelines.items():
        try:
            find_pipeline(place)
        except ExuviaError as error:
            raise type(error)(f"--pipelines {name}: {error}") from None
    for kind, places in (("data", config.data), ("reports", config.reports)):
        for name, path in places.items():
            if not path.exists():
                raise ConfigError(f"--{kind} {name}: {path} does not exist")


def _opener(wanted: bool) -> Any:
    def tell(address: str) -> None:
        print(f"the studio is at {address}", flush=True)
        if wanted:
            webbrowser.open(address)

    return tell
