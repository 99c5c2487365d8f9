"""Names of what is compared: a mixer, and options of SeRpEnt behind it, as in `serpent-s4d@K=5@rates=0.5+0.25`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from exuvia.errors import ConfigError
from exuvia.registry import suggest
from exuvia.sequence.stack import MIXER
from exuvia_ssm import SeRpEntConfig

_OPTION: dict[str, Callable[[str], Any]] = {
    "rates": lambda text: tuple(float(rate) for rate in text.split("+")),
    "K": int,
    "expansion": str,
    "interval_bias": float,
    "mix": str,
    "neighbours": str,
    "restore": str,
}


@dataclass(frozen=True)
class Variant:
    """One line of a comparison."""

    name: str
    mixer: str
    """A key of sequence.stack.MIXER."""
    serpent: Mapping[str, Any]
    """Options of its SeRpEnt layers."""

    @property
    def backbone(self) -> str:
        """The mixer that is resampled for: `s4d` of `serpent-s4d`; itself where nothing is resampled."""
        return self.mixer.partition("-")[2] or self.mixer


def parse_variant(name: str) -> Variant:
    """A variant by its name.

    Raises:
        ConfigError: an unknown mixer or option, a value that is none, or options for a mixer that has none.
    """
    mixer, *options = name.split("@")
    if mixer not in MIXER:
        raise ConfigError(f"unknown mixer {mixer!r}; {suggest(mixer, MIXER)}")
    found: dict[str, Any] = {}
    for option in options:
        key, _, text = option.partition("=")
        if key not in _OPTION:
            raise ConfigError(f"unknown option {key!r} of {name!r}; {suggest(key, _OPTION)}")
        try:
            found[key] = _OPTION[key](text)
        except ValueError:
            raise ConfigError(f"found {option!r} in {name!r}, expected a number after {key}=") from None
    if found and not mixer.startswith(("serpent", "uniform")):
        raise ConfigError(f"found options for {mixer}, which has none; only SeRpEnt layers take {', '.join(_OPTION)}")
    SeRpEntConfig(16, **found, causal=False)
    return Variant(name, mixer, found)
