"""Manners of moving: tempo, amplitude, posture, and the words people use for them."""

from dataclasses import dataclass

from exuvia.readers import read_table


@dataclass(frozen=True)
class Style:
    """How something is done."""

    name: str
    tempo: float = 1.0
    """Factor on speed; 1.2 takes 1/1.2 of the time."""
    size: float = 1.0
    """Factor on the amplitude of gestures and swings."""
    stoop: float = 0.0
    """Forward bend of the upper spine in degrees."""
    head: float = 0.0
    """Forward bend of the head in degrees."""
    bounce: float = 1.0
    """Factor on the lift of the feet and the swing of the hips."""
    knees: float = 0.0
    """How much lower than upright the pelvis is carried, in standing heights."""
    liveliness: float = 1.0
    """Factor on drift."""
    adverbs: tuple[str, ...] = ()
    """Words that follow the verb."""
    fierce: bool = False
    """Only for fighting."""
    calm: bool = False
    """Not for fighting, running or jumping."""


STYLE = read_table(__file__, "styles.toml", Style)
"""Every style by name."""
