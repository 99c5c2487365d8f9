"""Styles of motion: tempo, amplitude, posture, and the adverbs that describe them."""

from dataclasses import dataclass

from exuvia.readers import read_table


@dataclass(frozen=True)
class Style:
    """One style of motion; styles.toml explains the fields."""

    name: str
    tempo: float = 1.0
    size: float = 1.0
    stoop: float = 0.0
    head: float = 0.0
    bounce: float = 1.0
    knees: float = 0.0
    liveliness: float = 1.0
    adverbs: tuple[str, ...] = ()
    fierce: bool = False
    calm: bool = False


STYLE = read_table(__file__, "styles.toml", Style)
"""All styles by name."""
