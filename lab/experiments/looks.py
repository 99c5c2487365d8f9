"""`python -m lab looks`: motions of prompts to look at, and what the scores of who looked add up to."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from exuvia.config import Count, settings
from exuvia.errors import DataError
from exuvia.motion.rigid import rigid_clip
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.readers import as_type, read_toml
from exuvia.registry import DEFAULT_GENERATOR
from lab.ledger.numbers import Number, record_numbers
from lab.prompts.sheet import write_sheet

PROMPTS = Path(__file__).parents[1] / "prompts" / "looks.toml"
COLUMNS = ("match", "physics", "style")
BEST = 3


class Look(NamedTuple):
    """A prompt with its scores, 0 to 3, and a remark."""

    source: str
    text: str
    scores: tuple[int, ...]
    """Of COLUMNS; empty before somebody has looked."""
    remark: str


@settings(kw_only=True)
class LooksBench:
    """The generator, and where its motions go."""

    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder."""
    out: Path = Path("runs/looks")
    """Folder for the sheets, with scores.toml: the generator's hash, and for each prompt the scores and a remark."""
    rows: Count = 8
    """Motions on a sheet."""
    record: Path | None = None
    """Ledger to append the mean scores to."""


def bench_looks(config: LooksBench) -> None:
    """Draw the motions of 48 prompts, and take the mean of the scores in the folder's scores.toml, if it has any.

    Examples:
        python -m lab looks

    Raises:
        CheckpointError: the pipeline cannot be loaded.
        DataError: the scores cannot be read, or belong to another generator.
        OutputError: a file cannot be written.
    """
    pipe = MotionPipeline.from_pretrained(config.pipeline)
    looks = read_looks(config.out / "scores.toml", pipeline_hash(pipe))
    clips = [rigid_clip(clip) for clip in pipe.generate([look.text for look in looks], seed=0, raw=True).clips]
    for first in range(0, len(looks), config.rows):
        part = slice(first, first + config.rows)
        rows = [
            (clip, look.text, _verdict(look), not look.scores or min(look.scores) > 1)
            for clip, look in zip(clips[part], looks[part], strict=True)
        ]
        write_sheet(rows, config.out / f"looks-{first // config.rows + 1}.png")
    print(f"wrote the sheets of {len(looks)} motions to {config.out}; generator {pipeline_hash(pipe)}")
    scored = [look.scores for look in looks if look.scores]
    if scored:
        means = dict(zip(COLUMNS, np.mean(scored, axis=0).tolist(), strict=True))
        print(f"{len(scored)} scored: " + ", ".join(f"{name} {mean:.2f}" for name, mean in means.items()))
        record_numbers(config.record, {f"looks.{name}": Number(mean) for name, mean in means.items()})


def _verdict(look: Look) -> str:
    if not look.scores:
        return "not scored"
    return ", ".join(f"{name} {score}" for name, score in zip(COLUMNS, look.scores, strict=True)) + f": {look.remark}"


def read_looks(path: Path, generator: str = "") -> list[Look]:
    """The prompts with the scores of a file, or without, if it does not exist.

    Raises:
        DataError: the file is damaged, scores other prompts, or another generator.
    """
    prompts = as_type(dict[str, tuple[str, ...]], read_toml(PROMPTS), PROMPTS)
    scores: dict[str, list[int | str]] = {}
    if path.exists():
        content = read_toml(path)
        if generator and content.get("generator") != generator:
            raise DataError(f"{path} has scores of the generator {content.get('generator')}, not of {generator}")
        scores = as_type(dict[str, list[int | str]], content.get("scores", {}), path)
    if unknown := set(scores) - {text for texts in prompts.values() for text in texts}:
        raise DataError(f"{path} scores {sorted(unknown)[0]!r}, which is not one of the prompts")
    return [_look(source, text, scores.get(text, []), path) for source, texts in prompts.items() for text in texts]


def _look(source: str, text: str, given: list[int | str], path: Path) -> Look:
    numbers = tuple(score for score in given if isinstance(score, int) and 0 <= score <= BEST)
    if given and (len(numbers) != len(COLUMNS) or len(given) != len(COLUMNS) + 1):
        raise DataError(f"{path}, {text!r}: found {given}, expected three scores from 0 to {BEST} and a remark")
    return Look(source, text, numbers, str(given[-1]) if given else "")
