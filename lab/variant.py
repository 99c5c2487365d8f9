"""Names of compared models: a mixer followed by options of SeRpEnt, as in `serpent-s4d@K=5@rates=0.5+0.25`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from exuvia.errors import ConfigError
from exuvia.registry import suggest
from exuvia.sequence.settings import SerpentSettings
from exuvia.sequence.stack import BRANCH
from lab.stack import MIXERS

INTERVALS = {"serpent": "learned", "uniform": "uniform"}
"""First word of a name -> how its SeRpEnt layers select; `uniform` is the ablation of their selectivity."""
NAMES = (*(name for name in MIXERS if name != "serpent"), *(f"{kind}-{over}" for kind in INTERVALS for over in BRANCH))
"""All names without options."""
_OPTION: dict[str, Callable[[str], object]] = {
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
    """A key of lab.stack.MIXERS."""
    serpent: SerpentSettings
    """Settings of its SeRpEnt layers."""

    @property
    def backbone(self) -> str:
        """The inner mixer: `s4d` of `serpent-s4d`; the mixer itself if nothing is resampled."""
        return self.serpent.over if self.mixer == "serpent" else self.mixer


def parse_variant(name: str) -> Variant:
    """Return a variant by its name.

    Raises:
        ConfigError: an unknown mixer or option, an invalid value, or options for a mixer that has none.
    """
    first, *options = name.split("@")
    if first not in NAMES and (first not in MIXERS or first == "serpent"):
        raise ConfigError(f"unknown mixer {first!r}; {suggest(first, NAMES)}")
    values: dict[str, object] = {}
    for option in options:
        key, _, text = option.partition("=")
        if key not in _OPTION:
            raise ConfigError(f"unknown option {key!r} of {name!r}; {suggest(key, _OPTION)}")
        try:
            values[key] = _OPTION[key](text)
        except ValueError:
            raise ConfigError(f"found {option!r} in {name!r}, expected a number after {key}=") from None
    kind, _, over = first.partition("-")
    if kind not in INTERVALS:
        if values:
            raise ConfigError(
                f"found options for {first}, which has none; only SeRpEnt layers take {', '.join(_OPTION)}"
            )
        return Variant(name, first, SerpentSettings())
    values |= {"over": over, "intervals": INTERVALS[kind]}
    return Variant(name, "serpent", SerpentSettings(**values))  # type: ignore[arg-type]


def parse_variants(names: Sequence[str], seeds: Sequence[int]) -> list[Variant]:
    """Return the variants of a comparison over seeds. Raises ConfigError for an unknown or missing one, or no seed."""
    variants = [parse_variant(name) for name in names]
    if not seeds or not variants:
        raise ConfigError("found no seed or no mixer, expected at least one of each")
    return variants
