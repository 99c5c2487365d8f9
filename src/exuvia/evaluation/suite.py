"""`evaluate`: an edited generator beside its original and real motion, on what to forget and on what to keep.

A forget set that scores badly is no proof of forgetting: a generator that freezes or collapses scores badly too. So the
report sets quality, the rate at which an independent classifier sees the concept, and kinematics side by side.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.data.concepts import find_concept
from exuvia.data.store import Store
from exuvia.errors import CheckpointError, ConfigError
from exuvia.evaluation.forget import Generations, PromptSet, built_in_sets, prompt_sets
from exuvia.evaluation.judge import ALL_METRICS, SEEN_BY_CLASSIFIER, Detector, Embedder, Judge, multimodality
from exuvia.files import whole_folder, write_json, write_text
from exuvia.judges.metrics import BATCH, interval
from exuvia.judges.shipped import shipped_detector, shipped_evaluator
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.shapes import Features
from exuvia.unlearning.base import pipeline_hash

log = logging.getLogger(__name__)

REAL = "real"
"""Name of the row of real motions."""
SMALL = 2000
"""Below so many motions the report says how FID is biased."""


@dataclass(frozen=True)
class Row:
    """One number of a report."""

    set: str
    """forget, retain or lookalike."""
    model: str
    """original, edited, another generator's name, or real."""
    metric: str
    """Key of ALL_METRICS."""
    value: float
    """Mean over seeds."""
    low: float | None
    """95 % limits over seeds (of multimodality: over captions); None where there is one value only."""
    high: float | None


@dataclass(frozen=True)
class Report:
    """What `evaluate` found."""

    rows: tuple[Row, ...]
    """All numbers."""
    about: Mapping[str, Any]
    """Benchmark, data, seeds, generators, evaluator: texts only."""
    notes: tuple[str, ...]
    """What a reader must know to read the numbers."""

    def value(self, part: str, model: str, metric: str) -> float:
        """One number. Raises ConfigError if it was not measured."""
        for row in self.rows:
            if (row.set, row.model, row.metric) == (part, model, metric):
                return row.value
        raise ConfigError(f"the report has no {metric} of {model} on the {part} set")

    def to_dict(self) -> dict[str, Any]:
        """Nested names down to {value, low, high}: set, metric, model."""
        nested: dict[str, Any] = {"about": dict(self.about), "notes": list(self.notes)}
        for row in self.rows:
            entry = {"value": row.value, "low": row.low, "high": row.high}
            nested.setdefault(row.set, {}).setdefault(row.metric, {})[row.model] = entry
        return nested

    def table(self) -> str:
        """Markdown: for every set a line a metric and a column a generator, then the notes."""
        parts = []
        for name in dict.fromkeys(row.set for row in self.rows):
            mine = [row for row in self.rows if row.set == name]
            models = list(dict.fromkeys(row.model for row in mine))
            parts += [
                f"**{name}**",
                "",
                f"| metric | better | {' | '.join(models)} |",
                "|---" * (len(models) + 2) + "|",
            ]
            for metric in dict.fromkeys(row.metric for row in mine):
                cells = [_cell(next((r for r in mine if (r.metric, r.model) == (metric, m)), None)) for m in models]
                parts.append(f"| {metric} | {ALL_METRICS[metric].better} | {' | '.join(cells)} |")
            parts.append("")
        return "\n".join([*parts, *(f"- {note}" for note in self.notes)])

    def save(self, folder: str | Path) -> Path:
        """Write report.json, report.csv and report.md; an older folder is replaced whole. Raises OutputError."""
        keys = ("set", "model", "metric", "value", "low", "high", "better", "unit")
        lines = [",".join(keys)]
        for row in self.rows:
            about = ALL_METRICS[row.metric]
            facts = asdict(row) | {"better": about.better, "unit": about.unit}
            lines.append(",".join("" if facts[key] is None else str(facts[key]) for key in keys))
        with whole_folder(folder) as out:
            write_json(out / "report.json", self.to_dict())
            write_text(out / "report.csv", "\n".join(lines) + "\n")
            write_text(out / "report.md", self.table() + "\n")
        return Path(folder)


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    text = f"{row.value:.4g}"
    return text if row.low is None or row.high is None else f"{text} ± {(row.high - row.low) / 2:.2g}"


def evaluate(
    pipe: MotionPipeline,
    *,
    original: MotionPipeline | None = None,
    others: Mapping[str, MotionPipeline] | None = None,
    data: Store | str | Path | None = None,
    benchmark: str = "violence",
    rule: str = "auto",
    split: str = "test",
    sensors: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    limit: int | None = None,
    evaluator: Embedder | None = None,
    detector: Detector | None = None,
    cache: str | Path | None = None,
    batch_size: int = 32,
    progress: Callable[[int, int], None] | None = None,
    **sampling: Any,
) -> Report:
    """Measure what a generator forgot and what it kept.

    Args:
        pipe: the edited generator
        original: the generator before the edit
        others: more generators to set beside them, by name, such as one trained without the forget set
        data: captioned motion; its captions of the split are the prompts. None: prompts of our own, and the original
            generator, under other seeds, in place of real motion
        benchmark: the concept
        sensors: only clips of these sensors (optical, kinect ...) are prompts and reference; empty: all
        rule, split: which clips are which; see `unlearn.base.unlearn`
        seeds: a repeat each
        limit: at most so many prompts a set
        evaluator, detector: None: those shipped with the package; without a detector its line is left out
        cache: folder for motions that are made; a run that was killed goes on from there
        batch_size: motions made at a time
        progress: called with (motions done, motions in all)
        sampling: settings of `GenerationConfig` to change, the same for all generators
    Raises:
        ConfigError: unknown concept or setting, no seed, no prompt, or neither data nor an original.
        CheckpointError: no evaluator given and none shipped.
    """
    _check(seeds, data is not None or original is not None, others or {})
    concept, store = find_concept(benchmark), Store.open(data) if isinstance(data, str | Path) else data
    if store is None:
        sets = [_first(some, limit) for some in built_in_sets(concept)]
    else:
        sets = prompt_sets(store, concept, rule=rule, split=split, sensors=sensors, limit=limit)
    if detector is None and concept.name in SEEN_BY_CLASSIFIER:
        detector = _detector_if_shipped()
    judge = Judge(evaluator or shipped_evaluator(), detector, tuple(seeds), concept)
    models = {**({"original": original} if original is not None else {}), "edited": pipe, **(others or {})}
    makers = {name: Generations(model, cache, batch_size, **sampling) for name, model in models.items()}
    count = _Count(
        sum(len(some) for some in sets if not some.parts) * len(seeds) * len(makers)
        + (store is None) * sum(map(len, sets)),
        progress,
    )
    rows = [row for some in sets for row in _measured(some, judge, makers, count)]
    about = _about(models, store, benchmark, " ".join([*sensors, split]), seeds, sets, sampling)
    return Report(tuple(rows), about, _notes(sets, store, detector, len(seeds)))


def _check(seeds: Sequence[int], has_reference: bool, others: Mapping[str, MotionPipeline]) -> None:
    if not seeds or len(set(seeds)) != len(seeds):
        raise ConfigError(f"found seeds {tuple(seeds)}, expected distinct ones, at least one")
    if not has_reference:
        raise ConfigError("found neither data nor an original; pass data= or original= to compare with")
    if {"original", "edited", REAL} & set(others):
        raise ConfigError(f"found other generators {sorted(others)}; the names edited, original and {REAL} are taken")


def _measured(some: PromptSet, judge: Judge, makers: Mapping[str, Generations], count: "_Count") -> list[Row]:
    """Rows of one prompt set: real motion is the reference, or without it the original under a seed of its own."""
    made = {name: [maker.motions(some, seed, count.add) for seed in judge.seeds] for name, maker in makers.items()}
    if some.real:
        return _rows(judge, some, some.real, made | {REAL: [some.real]})
    return _rows(judge, some, makers["original"].motions(some, max(judge.seeds) + 1, count.add), made)


def _first(some: PromptSet, limit: int | None) -> PromptSet:
    return PromptSet(some.name, some.texts[:limit], some.tokens[:limit], some.frames[:limit])


def _detector_if_shipped() -> Detector | None:
    try:
        return shipped_detector()
    except CheckpointError as error:
        log.warning("no rate of violence in this report: %s", error)
        return None


class _Count:
    """Adds up progress over sets, seeds and generators."""

    def __init__(self, total: int, tell: Callable[[int, int], None] | None) -> None:
        self.done, self.total, self.tell = 0, total, tell

    def add(self, motions: int) -> None:
        """So many motions more are made."""
        self.done = min(self.total, self.done + motions)
        if self.tell is not None:
            self.tell(self.done, self.total)


def _rows(
    judge: Judge, some: PromptSet, reference: Sequence[Features], made: Mapping[str, Sequence[Sequence[Features]]]
) -> list[Row]:
    """Rows of one prompt set, for all generators and repeats."""
    rows = []
    for model, repeats in made.items():
        values = judge.values(some, repeats, reference, real=model == REAL)
        rows += [_row(some.name, model, metric, each) for metric, each in values.items() if metric != "multimodality"]
        if "multimodality" in values:
            each = interval(multimodality(np.stack([judge.embedded(clips) for clips in repeats])))
            rows.append(Row(some.name, model, "multimodality", each.mean, each.low, each.high))
    return rows


def _row(part: str, model: str, metric: str, repeats: Sequence[float]) -> Row:
    found = interval(repeats)
    one_value = len(repeats) == 1 or (model == REAL and len(set(repeats)) == 1)
    return Row(part, model, metric, found.mean, None if one_value else found.low, None if one_value else found.high)


def _about(
    models: Mapping[str, MotionPipeline],
    store: Store | None,
    benchmark: str,
    split: str,
    seeds: Sequence[int],
    sets: Sequence[PromptSet],
    sampling: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "benchmark": benchmark,
        "data": "built-in prompts" if store is None else f"{split} split of {store.name}, {store.data_hash}",
        "prompts": ", ".join(f"{len(some)} {some.name}" for some in sets),
        "seeds": ", ".join(map(str, seeds)),
        "generators": {name: pipeline_hash(model) for name, model in models.items()},
        "edits": {name: str(model.provenance.get("edits", [])) for name, model in models.items()},
        "sampling": ", ".join(f"{name}={value}" for name, value in sampling.items()) or "defaults",
    }


def _notes(sets: Sequence[PromptSet], store: Store | None, detector: Detector | None, repeats: int) -> tuple[str, ...]:
    notes = ["Intervals: 95 % by Student's t over seeds with fixed prompts; of multimodality over captions."]
    if repeats == 1:
        notes[0] = "One seed only, so there are no intervals."
    smallest = min(map(len, sets))
    if smallest < SMALL:
        notes.append(
            f"FID is biased upwards on few motions (here {smallest} in the smallest set), most where fewer than "
            "the embedding's dimensions: compare it only between columns of one set; KID is unbiased."
        )
    if smallest < BATCH:
        notes.append(f"R-precision needs {BATCH} motions and is left out for smaller sets.")
    if any(len(set(some.texts)) < len(some) for some in sets) or store is None:
        notes.append("Some captions say the same; R-precision counts the motion of a caption's twin as wrong.")
    if store is None:
        notes.append("No real motion was given: FID and KID compare with the original generator under another seed.")
    if detector is not None:
        point = detector.point
        notes.append(
            f"violence_rate: classifier at threshold {point.threshold:.3g}, finds {point.hit_rate:.0%} of violent and "
            f"{point.false_rate:.0%} of other validation clips; read it against the column of real motion."
        )
    return tuple(notes)
