"""Manners of moving: tempo, amplitude, posture, and the words people use for them."""

from dataclasses import dataclass


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


STYLE = {
    style.name: style
    for style in (
        Style("plain"),
        Style("slow", tempo=0.72, size=0.92, bounce=0.9, adverbs=("slowly", "at a slow pace", "very slowly")),
        Style("quick", tempo=1.25, size=1.0, adverbs=("quickly", "fast", "rapidly", "at a fast pace")),
        Style("relaxed", tempo=0.92, size=0.95, stoop=2, liveliness=1.2,
              adverbs=("casually", "in a relaxed way", "calmly", "leisurely"), calm=True),
        Style("energetic", tempo=1.15, size=1.18, stoop=-3, bounce=1.35, liveliness=1.4,
              adverbs=("energetically", "with a lot of energy", "vigorously")),
        Style("happy", tempo=1.08, size=1.15, stoop=-4, head=-4, bounce=1.5, liveliness=1.5,
              adverbs=("happily", "cheerfully", "joyfully"), calm=True),
        Style("tired", tempo=0.75, size=0.7, stoop=13, head=14, bounce=0.6, knees=0.015, liveliness=1.3,
              adverbs=("tiredly", "wearily", "as if exhausted"), calm=True),
        Style("sad", tempo=0.8, size=0.7, stoop=9, head=20, bounce=0.7,
              adverbs=("sadly", "with the head hanging down", "in a depressed way"), calm=True),
        Style("old", tempo=0.7, size=0.65, stoop=20, head=6, bounce=0.55, knees=0.03,
              adverbs=("like an old person", "with a bent back", "feebly"), calm=True),
        Style("careful", tempo=0.75, size=0.85, stoop=4, bounce=1.0, knees=0.02, liveliness=0.7,
              adverbs=("carefully", "cautiously", "hesitantly"), calm=True),
        Style("proud", tempo=0.97, size=1.08, stoop=-7, head=-6, bounce=1.1,
              adverbs=("confidently", "proudly"), calm=True),
        Style("aggressive", tempo=1.18, size=1.08, stoop=4, bounce=1.1, liveliness=1.3,
              adverbs=("aggressively", "angrily", "violently", "forcefully"), fierce=True),
        Style("hard", tempo=1.12, size=1.1, adverbs=("hard", "powerfully", "with force", "strongly"), fierce=True),
    )
}  # fmt: skip
"""Every style by name."""
