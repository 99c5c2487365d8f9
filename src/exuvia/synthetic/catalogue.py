"""Every action: how it is performed, what it is called, and what people write about it; they are in actions.toml.

Violence is aggression against a person, real or imagined, or an attack with a weapon; kicks of a ball or in a dance,
blocks, dodges, throws and drum beats are not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, cast

from pydantic import BeforeValidator

from exuvia.readers import read_table
from exuvia.synthetic import fighting, gestures, moving, posture
from exuvia.synthetic.stage import Part, Stage

_MODULE = {"fighting": fighting, "gestures": gestures, "moving": moving, "posture": posture}


def _performer(name: str) -> Callable[[Stage, Part], None]:
    """The function that a name such as "fighting.kick" stands for."""
    module, _, function = name.partition(".")
    return cast(Callable[[Stage, Part], None], getattr(_MODULE[module], function))


@dataclass(frozen=True)
class Action:
    """One kind of action."""

    name: str
    perform: Annotated[Callable[[Stage, Part], None], BeforeValidator(_performer)]
    label: str
    """Frame label, one of `FRAME_LABELS`."""
    phrases: tuple[str, ...]
    """Verb phrases that fit whatever the side."""
    side_phrases: tuple[str, ...] = ()
    """Verb phrases that name the side, used along with `phrases` for an action that has one."""
    sides: tuple[str, ...] = ("",)
    """What the side may be; the empty side means both or none."""
    levels: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"": ("",)})
    """Variants, each with its words for {level}."""
    counts: tuple[int, ...] = (1,)
    """What the number of repetitions may be."""
    violent: bool = False
    concepts: tuple[str, ...] = ()
    """Concepts that the motion shows, named as in the concept table of the data."""
    weight: float = 1.0
    """How often it is drawn."""
    before: str = "stand"
    after: str = "stand"
    """Posture in which it begins, and ends."""
    lively: bool = False
    """Not done in a tired, sad or otherwise calm manner."""

    unfit: tuple[str, ...] = ()
    """Styles in which it would not be called by its name."""


ACTION = read_table(__file__, "actions.toml", Action)
"""Every action by name."""
FRAME_LABELS: tuple[str, ...] = ("stand", "guard", *sorted({action.label for action in ACTION.values()} - {"stand"}))
"""Vocabulary of the labels of single frames; a frame's label is an index into it."""
VIOLENT_FRAME_LABELS = frozenset(action.label for action in ACTION.values() if action.violent)
"""Frame labels that are violent; each label is either always or never violent."""
