"""Styles of motion: tempo, amplitude, posture, and the adverbs that describe them."""

from dataclasses import dataclass

from exuvia.readers import read_table


@dataclass(frozen=True)
class Style:
    """One style of motion."""

    name: str
    tempo: float = 1.0
    """Factor on speed; with 1.2 an action takes 1/1.2 of the time."""
    size: float = 1.0
    """Factor on the amplitude of gestures and swings."""
    stoop: float = 0.0
    """Forward bend of the upper spine in degrees."""
    head: float = 0.0
    """Forward bend of the head in degrees."""
    bounce: float = 1.0
    """Factor on the lift of the feet and the swing of the hips."""
    knees: float = 0.0
    """Lowering of the pelvis, in standing heights."""
    liveliness: float = 1.0
    """Factor on drift."""
    adverbs: tuple[str, ...] = ()
    """Adverbs for captions."""
    fierce: bool = False
    """Whether the style is only for fighting."""
    calm: bool = False
    """Whether the style excludes fighting, running and jumping."""


STYLE = read_table(__file__, "styles.toml", Style)
"""All styles by name."""
