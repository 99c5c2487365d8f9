"""`exuvia studio`: the local web application."""

import os
import secrets
import webbrowser
from dataclasses import field, fields

import tyro

from exuvia.config import settings
from exuvia.errors import ConfigError, ExuviaError
from exuvia.registry import GENERATORS
from exuvia.studio.settings import Limits, Settings, is_loopback


@settings
class StudioConfig(Settings):
    """Settings of the studio."""

    limits: tyro.conf.Suppress[Limits] = field(default_factory=Limits)
    open: bool = False
    """Whether to open the page in the browser."""


def studio(config: StudioConfig) -> None:
    """Serve the studio until it is interrupted."""
    token = config.token or os.environ.get("EXUVIA_STUDIO_TOKEN", "")
    token = secrets.token_urlsafe(24) if token == "new" else token
    if not is_loopback(config.host) and len(token) < 16:
        hint = "set a token of at least 16 characters with --token or EXUVIA_STUDIO_TOKEN, or make one: --token new"
        raise ConfigError(f"{config.host} can be reached by others; {hint}")
    _check_offers(config)
    try:
        from exuvia.studio.serve import serve
    except ImportError as error:
        raise ConfigError(f"the studio needs {error.name}; install it with: pip install 'exuvia[studio]'") from None
    chosen = {setting.name: getattr(config, setting.name) for setting in fields(Settings)} | {"token": token}

    def announce(address: str) -> None:
        print(f"the studio is at {address}", flush=True)
        if config.open:
            webbrowser.open(address)

    serve(Settings(**chosen), announce)


def _check_offers(config: StudioConfig) -> None:
    from exuvia.checkpoint import find_pipeline

    for name in config.pipelines.keys() & {*GENERATORS, ""}:
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
