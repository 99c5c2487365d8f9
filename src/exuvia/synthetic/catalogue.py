"""The catalogue of actions, read from actions.toml: how each is performed, named and described.

Violence is aggression against a real or imagined person, or an attack with a weapon. Kicking a ball or in a dance,
blocking, dodging, throwing and drumming are not violent.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, cast

from pydantic import BeforeValidator

from exuvia.readers import read_table
from exuvia.synthetic import dancing, fighting, moving, routine
from exuvia.synthetic.actor import Actor, Part

_MODULE = {"dancing": dancing, "fighting": fighting, "moving": moving, "routine": routine}


def _performer(name: str) -> Callable[[Actor, Part], None]:
    """Function for a name such as "fighting.kick"."""
    module, _, function = name.partition(".")
    return cast(Callable[[Actor, Part], None], getattr(_MODULE[module], function))


@dataclass(frozen=True)
class Action:
    """One kind of action; actions.toml explains the fields."""

    name: str
    perform: Annotated[Callable[[Actor, Part], None], BeforeValidator(_performer)]
    label: str
    phrases: tuple[str, ...]
    side_phrases: tuple[str, ...] = ()
    sides: tuple[str, ...] = ("",)
    levels: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"": ("",)})
    counts: tuple[int, ...] = (1,)
    violent: bool = False
    concepts: tuple[str, ...] = ()
    weight: float = 1.0
    follow: float = 1.0
    before: str = "stand"
    after: str = "stand"
    lively: bool = False
    unfit: tuple[str, ...] = ()

    @property
    def counted(self) -> tuple[str, ...]:
        """The phrases that can say how often the action is done; none if it is never done less than five times."""
        phrases = (*self.phrases, *self.side_phrases) if min(self.counts) < 5 and len(set(self.counts)) > 1 else ()
        return tuple(phrase for phrase in phrases if re.search(r"{(n|times|exactly)}", phrase))


ACTION = read_table(__file__, "actions.toml", Action)
"""All actions by name."""
FRAME_LABELS: tuple[str, ...] = ("stand", "guard", *sorted({action.label for action in ACTION.values()} - {"stand"}))
"""Names of the frame labels; the label of a frame is an index into them."""
VIOLENT_FRAME_LABELS = frozenset(action.label for action in ACTION.values() if action.violent)
"""Frame labels of violent actions; each label is either always or never violent."""
