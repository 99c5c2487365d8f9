"""`python -m lab prompts`: whether a generator does what everyday prompts ask for; `prompt-checks` tests the checks."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from exuvia.config import Count, settings
from exuvia.data.store import Store
from exuvia.errors import ConfigError
from exuvia.files import write_text
from exuvia.motion.clip import Clip
from exuvia.motion.rigid import rigid_clip
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.progress import progress_bar
from exuvia.registry import DEFAULT_GENERATOR, suggest
from exuvia.tables import Cell, Column, Table
from lab.ledger.numbers import Number, record_numbers
from lab.prompts.agreement import agreements, grounded
from lab.prompts.load import Prompt, Result, load_prompts
from lab.prompts.physics import physics
from lab.prompts.sheet import write_sheet

ROUND = 1000
"""Difference of the seeds of a prompt's motions. Prompts have seeds of their own: one seed gives all alike lengths."""
COLUMNS = ("id", "group", "prompt", "seed", "passed", "check", "check passed", "value", "unit")


class Motion(NamedTuple):
    """A motion of a prompt, and what its checks found."""

    prompt: Prompt
    seed: int
    clip: Clip
    found: list[Result]

    @property
    def passed(self) -> bool:
        """Whether it passed all checks."""
        return all(one.verdict.passed for one in self.found)

    @property
    def line(self) -> str:
        """All checks with their values."""
        return "; ".join(
            f"{'' if verdict.passed else 'NOT '}{name}: {verdict.value:.3g}{'' if unit == '1' else f' {unit}'}"
            for name, unit, verdict in self.found
        )

    def rows(self) -> Iterator[tuple[Cell, ...]]:
        """Rows of prompts.csv."""
        start = (self.prompt.id, self.prompt.group, self.prompt.text, self.seed, int(self.passed))
        for name, unit, verdict in self.found:
            yield (*start, name, int(verdict.passed), f"{verdict.value:.4g}", unit)


@settings(kw_only=True)
class PromptsBench:
    """The generator, and where the results go."""

    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder."""
    seeds: Count = 1
    """Number of motions of each prompt."""
    groups: tuple[str, ...] = ()
    """Groups of prompts to use; all by default."""
    out: Path = Path("runs/prompts")
    """Folder for prompts.csv, and for a contact sheet of each group's first motions."""
    record: Path | None = None
    """Ledger to append the results to; rows of pipelines other than the default end with the folder's name."""


def bench_prompts(config: PromptsBench) -> None:
    """Generate motions of everyday prompts, check whether they do what the prompt asks for, and measure their physics.

    Examples:
        python -m lab prompts

    Raises:
        ConfigError: an unknown group.
        CheckpointError: the pipeline cannot be loaded.
        DataError: the prompts cannot be read.
        OutputError: a file cannot be written.
    """
    known = dict.fromkeys(prompt.group for prompt in load_prompts())
    for group in config.groups:
        if group not in known:
            raise ConfigError(f"unknown group {group!r}; {suggest(group, known)}")
    some = [(n, prompt) for n, prompt in enumerate(load_prompts()) if prompt.group in (config.groups or known)]
    seeds = [ROUND * times + n for times in range(config.seeds) for n, _ in some]
    prompts = [prompt for _, prompt in some] * config.seeds
    pipe = MotionPipeline.from_pretrained(config.pipeline)
    with progress_bar("prompts", "motions") as progress:
        raw = pipe.generate([prompt.text for prompt in prompts], seed=seeds, raw=True, progress=progress).clips
    clips = [rigid_clip(clip) for clip in raw]
    motions = [Motion(*one, one[0].results(one[2])) for one in zip(prompts, seeds, clips, strict=True)]
    table = Table([Column(name) for name in COLUMNS], [row for motion in motions for row in motion.rows()])
    write_text(config.out / "prompts.csv", table.csv())
    for group in dict.fromkeys(prompt.group for prompt in prompts):
        shown = [one for one in motions if one.prompt.group == group and one.seed < ROUND]
        rows = [(one.clip, f"{one.prompt.id}  {one.prompt.text}", one.line, one.passed) for one in shown]
        write_sheet(rows, config.out / f"{group}.png")
    numbers = _shares(motions) | _physics([one.clip for one in motions if not one.prompt.platforms], "")
    numbers |= {name: number for name, number in _physics(raw, ".raw").items() if "floor" in name}
    _print_numbers(numbers)
    print(f"wrote {config.out / 'prompts.csv'} and a contact sheet of each group")
    record_numbers(config.record, numbers, pipeline=config.pipeline)


@settings(kw_only=True)
class ChecksBench:
    """The real motion."""

    data: Path = Path("stores/mocap")
    """Folder made by `exuvia prepare`, with captions."""
    record: Path | None = None
    """Ledger to append the results to."""


def bench_prompt_checks(config: ChecksBench) -> None:
    """Measure how often the checks of `python -m lab prompts` agree with captions of real motion, and its physics.

    Examples:
        python -m lab prompt-checks --data stores/mocap

    Raises:
        DataError: the data or the files of prompts cannot be read.
        OutputError: the ledger cannot be written.
    """
    store = Store.open(config.data)
    found = list(agreements(store))
    columns = [
        Column(name, decimals=2) for name in ("check", "kind", "pass and should", "fail and should", "agreement")
    ]
    rows: list[tuple[Cell, ...]] = [
        (one.name, one.kind, *map("{0[0]} of {0[1]}".format, one[2:]), one.share) for one in found
    ]
    print(Table(columns, rows).markdown())
    kinds = {one.kind: [other.share for other in found if other.kind == one.kind] for one in found}
    numbers = {f"prompts.agreement.{kind}": Number(float(np.mean(shares))) for kind, shares in kinds.items()}
    numbers |= _physics(grounded(store), ".real")
    _print_numbers(numbers)
    record_numbers(config.record, numbers)


def _shares(motions: Sequence[Motion]) -> dict[str, Number]:
    """Share of prompts that pass, of each group and of all: mean over rounds."""
    passed, rounds, groups = (
        np.asarray(each)
        for each in zip(*((one.passed, one.seed // ROUND, one.prompt.group) for one in motions), strict=True)
    )
    some = {f".{group}": groups == group for group in dict.fromkeys(groups.tolist())} | {"": groups != ""}
    return {
        f"prompts.pass_share{name}": Number.over(
            [float(passed[which & (rounds == n)].mean()) for n in np.unique(rounds)]
        )
        for name, which in some.items()
    }


def _physics(clips: Sequence[Clip], tag: str) -> dict[str, Number]:
    values = physics(clips).items() if clips else ()
    return {f"physics.{name}{tag}": Number(value, "m" if name.endswith("_m") else "1") for name, value in values}


def _print_numbers(numbers: dict[str, Number]) -> None:
    rows = [(name, number.value, number.unit) for name, number in numbers.items()]
    print(Table([Column("number"), Column("value"), Column("unit")], rows).markdown())
