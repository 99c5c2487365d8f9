"""Settings: what they accept, what they say of what they refuse, and their way to dictionaries, forms and tables."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import tyro
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from exuvia.config import describe, from_dict, nested, settings, to_dict
from exuvia.errors import ConfigError
from exuvia.pipeline.settings import LongConfig


@settings
class Pace:
    """How fast."""

    steps: Annotated[int, Field(ge=1)] = 3
    """Steps to take."""
    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.5
    """Their size,
    in metres."""


@settings
class Walk(Pace):
    """How to walk."""

    kind: Literal["slow", "fast"] = "slow"
    """Manner."""
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """How much of it."""
    levels: tuple[Annotated[int, Field(ge=0)], ...] = (0,)
    """Which."""
    pair: tuple[float, float] = (0.9, 0.99)
    """Two of them."""
    goal: int | Literal["home", "away"] = "home"
    """Where to."""
    limit: int | None = None
    """None: no end."""
    bold: bool = False
    """Whether boldly."""
    name: str = ""
    """A word."""
    folder: Path = Path("here")
    """A folder."""
    places: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    """Folders by name."""
    pace: Pace = dataclasses.field(default_factory=lambda: Pace(steps=7))
    """Of the way back."""


@dataclasses.dataclass(frozen=True)
class Plain:
    """A dataclass that checks nothing by itself, as those of exuvia_ssm."""

    width: int = 16
    """Width | height."""
    inside: Pace = dataclasses.field(default_factory=Pace)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "text for a number": (lambda: Walk(steps="16"), "found steps '16', expected a whole number"),  # type: ignore[arg-type]
    "a truth for a number": (lambda: Walk(steps=True), "found steps True, expected a whole number"),
    "a fraction": (lambda: Walk(steps=1.5), "found steps 1.5, expected a whole number"),  # type: ignore[arg-type]
    "text for a fraction": (lambda: Walk(rate="x"), "found rate 'x', expected a number"),  # type: ignore[arg-type]
    "a number for a truth": (lambda: Walk(bold=1), "found bold 1, expected true or false"),  # type: ignore[arg-type]
    "a number for text": (lambda: Walk(name=5), "found name 5, expected text"),  # type: ignore[arg-type]
    "below the limit": (lambda: Walk(steps=0), "found steps 0, expected at least 1"),
    "at an open limit": (lambda: Walk(rate=0), "found rate 0, expected above 0"),
    "not finite": (lambda: Walk(rate=float("inf")), "found rate inf, expected a finite number"),
    "outside a range": (lambda: Walk(share=1.5), "found share 1.5, expected 0 to 1"),
    "near a choice": (lambda: Walk(kind="fats"), "unknown kind 'fats'; did you mean 'fast'?"),  # type: ignore[arg-type]
    "no choice": (lambda: Walk(kind=3), "found kind 3, expected 'slow' or 'fast'"),  # type: ignore[arg-type]
    "neither number nor choice": (
        lambda: Walk(goal="x"),  # type: ignore[arg-type]
        "unknown goal 'x'; known: away, home, or a whole number",
    ),
    "one for several": (lambda: Walk(levels=1), "found levels 1, expected a list"),  # type: ignore[arg-type]
    "one of several": (lambda: Walk(levels=[0, -1]), "found levels[1] -1, expected at least 0"),  # type: ignore[arg-type]
    "too few": (lambda: from_dict(Walk, {"pair": [1]}), "needs a value for 'pair[1]'"),
    "too many": (lambda: from_dict(Walk, {"pair": [1, 2, 3]}), "found pair [1, 2, 3], expected at most 2 entries"),
    "no path": (lambda: Walk(folder=5), "found folder 5, expected a path"),  # type: ignore[arg-type]
    "inside a dictionary": (lambda: from_dict(Walk, {"places": {"a": 1}}), "found places.a 1, expected text"),
    "inside a class": (lambda: from_dict(Walk, {"pace": {"steps": "x"}}), "found pace.steps 'x', expected a whole"),
    "no class": (lambda: from_dict(Walk, {"pace": 3}), "found pace 3, expected a dictionary of steps, rate"),
    "an unknown name": (lambda: Walk(step=3), "Walk has no setting 'step'; did you mean 'steps'?"),  # type: ignore[call-arg]
    "an unknown key": (lambda: from_dict(Walk, {"step": 3}), "Walk has no setting 'step'; did you mean 'steps'?"),
    "an unknown key inside": (
        lambda: from_dict(Walk, {"pace": {"step": 3}}),
        "Pace has no setting 'pace.step'; did you mean 'pace.steps'?",
    ),
    "an unknown key of a plain class": (lambda: from_dict(Plain, {"with": 3}), "has no setting 'with'; did you mean"),
    "by position": (lambda: Pace("x"), "found steps 'x', expected a whole number"),  # type: ignore[arg-type]
    "no value at all": (lambda: from_dict(Walk, {"name": {1, 2}}), "expected text, numbers, lists or a dictionary"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_value_is_refused_in_one_sentence(case: str) -> None:
    make, sentence = REFUSED[case]
    with pytest.raises(ConfigError) as refusal:
        make()
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_changed_copy_is_checked_too() -> None:
    with pytest.raises(ConfigError, match="steps 0"):
        dataclasses.replace(Walk(), steps=0)


def test_a_list_is_taken_for_a_tuple_and_a_whole_number_for_a_fraction() -> None:
    walk = Walk(levels=[1, 2], pair=[0, 1])  # type: ignore[arg-type]
    assert (walk.levels, walk.pair) == ((1, 2), (0.0, 1.0))
    assert from_dict(Walk, {"levels": [1, 2], "pair": [0, 1]}) == walk


def test_a_class_can_take_its_settings_by_name_only() -> None:
    @settings(kw_only=True)
    class Named:
        """By name."""

        first: int = 1
        second: int

    assert Named(second=2).first == 1
    with pytest.raises(ConfigError, match="needs a value for 'second'"):
        Named()


def test_a_dictionary_inside_changes_the_fields_own_default() -> None:
    assert from_dict(Walk, {"pace": {"rate": 0.25}}).pace == Pace(steps=7, rate=0.25)
    assert from_dict(Walk, nested({"pace.rate": 0.25, "steps": 4})) == Walk(steps=4, pace=Pace(7, 0.25))


def test_values_of_python_are_read_as_those_of_json() -> None:
    walk = from_dict(Walk, {"folder": Path("a"), "steps": np.int64(4), "pace": Pace(2), "levels": (1,)})
    assert walk == Walk(folder=Path("a"), steps=4, pace=Pace(2), levels=(1,))


finite = st.floats(allow_nan=False, allow_infinity=False)
paces = st.builds(Pace, steps=st.integers(1, 10**9), rate=st.floats(1e-9, 1e9))
walks = st.builds(
    Walk,
    steps=st.integers(1, 10**12),
    kind=st.sampled_from(["slow", "fast"]),
    share=st.floats(0, 1),
    levels=st.lists(st.integers(0, 9)).map(tuple),
    pair=st.tuples(finite, finite),
    goal=st.one_of(st.integers(-9, 9), st.sampled_from(["home", "away"])),
    limit=st.none() | st.integers(),
    bold=st.booleans(),
    name=st.text('aé\\"\n☃', max_size=9),
    folder=st.sampled_from(["a", "a/b", "/c"]).map(Path),
    places=st.dictionaries(st.text("ab.["), st.just(Path("x")), max_size=3),
    pace=paces,
)


@given(walks)
def test_a_dictionary_and_back_is_the_same(walk: Walk) -> None:
    assert from_dict(Walk, to_dict(walk)) == walk


def test_a_class_describes_what_can_be_set() -> None:
    lines = {line.name: line for line in describe(Walk)}
    assert list(lines)[:3] == ["steps", "rate", "kind"]
    assert (lines["rate"].type, lines["rate"].text, lines["rate"].minimum) == ("float", "Their size, in metres.", 0)
    assert (lines["kind"].type, lines["kind"].choices) == ("choice", ("slow", "fast"))
    assert (lines["share"].minimum, lines["share"].maximum) == (0, 1)
    assert (lines["levels"].type, lines["levels"].many, lines["levels"].default) == ("int", True, (0,))
    assert (lines["goal"].choices, lines["goal"].default) == (("home", "away"), "home")
    assert (lines["limit"].type, lines["limit"].optional) == ("int", True)
    assert (lines["folder"].type, lines["places"].type) == ("path", "other")
    assert (lines["pace.steps"].default, lines["pace.steps"].text) == (7, "Steps to take.")
    assert [line.name for line in describe(Plain)] == ["width", "inside.steps", "inside.rate"]
    assert describe(Plain)[0].text == "Width | height."


def test_the_command_line_reads_and_explains_the_same_class(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--steps", "4", "--levels", "1", "2", "--goal", "5", "--pace.rate", "2", "--kind", "fast"]
    assert tyro.cli(Walk, args=words) == Walk(steps=4, levels=(1, 2), goal=5, pace=Pace(7, 2.0), kind="fast")
    with pytest.raises(ConfigError, match=r"found share 3\.0, expected 0 to 1"):
        tyro.cli(Walk, args=["--share", "3"])
    with pytest.raises(SystemExit):
        tyro.cli(Walk, args=["--help"])
    page = capsys.readouterr().out
    assert "Steps to take." in page
    assert "{slow,fast}" in page


def test_arguments_by_place_are_refused_in_the_same_words() -> None:
    for make in (lambda: LongConfig(-1), lambda: LongConfig(context=-1)):
        with pytest.raises(ConfigError, match="found context -1, expected 1 to 100000"):
            make()
