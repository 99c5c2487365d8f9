"""Numbers out of range are refused at input, before any work."""

import dataclasses
import math
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tyro
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia import __main__ as cli
from exuvia.commands.generate import GenerateConfig, requests
from exuvia.commands.table import COMMAND
from exuvia.config import Setting, describe, from_dict
from exuvia.errors import ConfigError
from exuvia.evaluation.benchmark import MethodSpec, Plan
from exuvia.pipeline.settings import GenerationConfig, LongConfig
from exuvia.registry import resolve
from exuvia.sequence.sampling import seeded_noise

NEVER = (10**30, -(10**30), math.nan, math.inf, -math.inf)
"""No setting takes one of these."""


def instances() -> Iterator[tuple[str, Any]]:
    """Settings of every command, as its first example fills them, and those of generation."""
    for name, entry in COMMAND.items():
        kind = cli.config_type(name, entry, resolve({name: entry.target}, name, "command"))
        if kind is not None:
            words = shlex.split(entry.examples[0])[1 + len(name.split()) :]
            yield name, tyro.cli(kind, args=words)
    plan = Plan("violence", "store", (MethodSpec("none", "none", {}),))
    yield from (("generation", GenerationConfig()), ("long", LongConfig()), ("plan", plan))


INSTANCES = dict(instances())


def changed(config: Any, name: str, value: Any) -> Any:
    """A copy with another value of a setting, whose name may have dots."""
    first, dot, rest = name.partition(".")
    return dataclasses.replace(config, **{first: changed(getattr(config, first), rest, value) if dot else value})


NUMBERS = [
    (name, line)
    for name, one in INSTANCES.items()
    for line in describe(type(one), one)
    if line.type in ("int", "float")
]
"""Every numeric setting, with the name of its command."""


@pytest.mark.parametrize("value", NEVER)
def test_every_number_of_every_command_has_limits(value: float) -> None:
    for name, line in NUMBERS:
        count = len(line.default) if line.many and line.default else 1
        with pytest.raises(ConfigError, match=f"found {line.name.rpartition('.')[2]}"):
            changed(INSTANCES[name], line.name, (value,) * count if line.many else value)


@given(st.sampled_from(NUMBERS), st.integers() | st.floats())
@settings(deadline=None, max_examples=100)
def test_a_number_is_taken_or_refused_in_one_sentence(setting: tuple[str, Setting], value: float) -> None:
    name, line = setting
    count = len(line.default) if line.many and line.default else 1
    refused = ""
    try:
        changed(INSTANCES[name], line.name, (value,) * count if line.many else value)
    except ConfigError as error:
        refused = str(error)
    assert "\n" not in refused
    assert "validation error" not in refused
    assert not refused or refused.startswith("found") or "divide" in refused, refused


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 10**6}, "found steps 1000000, expected 1 to 1000"),
        ({"smoothing": 1e9}, "found smoothing 1000000000.0, expected 0 to 100"),
        ({"temperature": -1.0}, r"found temperature -1.0, expected 0 to 10"),
        ({"residual_temperature": 11.0}, "expected 0 to 10"),
        ({"cond_scale": 1e4}, "expected -100 to 100"),
        ({"keep_share": math.nan}, "expected a finite number"),
    ],
)
def test_sampling_has_ranges(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(GenerationConfig, values)


@pytest.mark.parametrize(
    "words",
    [
        "generate walk --steps 1000000", "generate walk --temperature -1", "generate walk --seed -1",
        "generate walk --seed 18446744073709551616", "generate walk --frames 1000000000", "generate walk --repeats 0",
        "generate walk run jump --repeats 50000", "stream walk --repeat 100000 --frames 1000000",
        "stream walk --seed -3",        "stream walk --context 0", "stream walk --blend 16",
        "audit base --seeds -1", "evaluate base --seeds 0 -1",
        "unlearn lcr --out x --seed -1", "unlearn lcr --out x --alpha nan", "unlearn esd --out x --tune.lr inf",
        "train mask --tokenizer x --train.gamma -1", "train mask --tokenizer x --train.betas 0.9 2",
        "train mask --tokenizer x --train.milestones -5", "prepare synthetic x --count -1", "prepare a b --limit 0",
        "convert a b --fps 0", "import motion a --out b --source-unit-m -1", "benchmark violence --workers 100000",
    ],
)  # fmt: skip
def test_a_slip_on_the_command_line_meets_a_sentence_before_anything_is_loaded(
    words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def load(*args: Any, **options: Any) -> None:
        raise AssertionError("something was loaded")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("exuvia.pipeline.pipeline.MotionPipeline.from_pretrained", load)
    assert cli.main(words.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("exuvia: found ")
    assert said.count("\n") == 1


def test_repeats_and_prompts_are_bounded_together() -> None:
    assert len(requests(GenerateConfig(prompts=("a", "b"), repeats=10_000))) == 20_000
    with pytest.raises(ConfigError, match="at most 100000 motions"):
        requests(GenerateConfig(prompts=("walk",) * 11, repeats=10_000))


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64, -(2**63)])
def test_seeds_that_would_repeat_others_are_refused(seed: int) -> None:
    with pytest.raises(ConfigError, match=f"found the seed {seed}"):
        seeded_noise([seed], 1, 4)


def test_the_largest_seed_works_wherever_it_is_used() -> None:
    assert seeded_noise([2**63 - 1], 1, 4).shape == (1, 1, 4)
    assert GenerateConfig(seed=2**32 - 1).seed == 2**32 - 1
