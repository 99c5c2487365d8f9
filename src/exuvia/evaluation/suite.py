"""`evaluate`: compares an edited generator with its original and with real motion, on forget and retain prompts.

Bad scores on a forget set do not prove forgetting: a generator that freezes or collapses also has bad scores. The
report therefore shows quality, an independent classifier's rate of violence, and kinematics together.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from exuvia.checkpoint import origin
from exuvia.data.concepts import Concept, find_concept
from exuvia.data.store import Store
from exuvia.errors import CheckpointError, ConfigError
from exuvia.evaluation.judge import Judge, is_seen
from exuvia.evaluation.prompt_sets import Generations, PromptSet, built_in_sets, prompt_sets
from exuvia.evaluation.report import REAL, Method, Report, Row, report_of
from exuvia.judges.classifier import ViolenceDetector
from exuvia.judges.guo import MotionTextEvaluator
from exuvia.judges.metrics import BATCH
from exuvia.judges.shipped import shipped_detector, shipped_evaluator
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.pipeline.settings import Sampling
from exuvia.shapes import Features

log = logging.getLogger(__name__)

SMALL = 2000
"""Number of motions below which the report warns about the bias of FID."""


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
    evaluator: MotionTextEvaluator | None = None,
    detector: ViolenceDetector | None = None,
    cache: str | Path | None = None,
    batch_size: int = 32,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **sampling: Unpack[Sampling],
) -> Report:
    """Measure what a generator forgot and what it kept.

    Args:
        pipe, original: the generator after and before the edit
        others: more generators to compare, by name, such as one trained without the forget set
        data: captioned motion, whose captions are the prompts. None: built-in prompts, and motions of the original
            generator under other seeds instead of real motion
        benchmark: the concept
        rule, split, sensors, limit: see `prompt_sets.prompt_sets`
        seeds: one seed per repeat
        evaluator, detector: None: the shipped ones; without a detector the rate of violence is omitted
        cache: folder for generated motions; a killed run continues from there
        progress: called with the number of finished motions and their total
        sampling: settings of `GenerationConfig` to change, the same for all generators
    Raises:
        ConfigError: unknown concept or setting, no seed, no prompt, or neither data nor an original.
        CheckpointError: no evaluator given and none shipped.
    """
    _check(seeds, data is not None or original is not None, others or {})
    concept, store = find_concept(benchmark), Store.open(data) if isinstance(data, str | Path) else data
    if store is None:
        sets = built_in_sets(concept, limit)
    else:
        sets = prompt_sets(store, concept, rule=rule, split=split, sensors=sensors, limit=limit)
    detector = detector or _shipped_detector(concept)
    judge = Judge(evaluator or shipped_evaluator(), detector, tuple(seeds), concept)
    models = {**({"original": original} if original is not None else {}), "edited": pipe, **(others or {})}
    makers = {name: Generations(model, cache, batch_size, **sampling) for name, model in models.items()}
    rows = _measured(sets, judge, makers, progress)
    about: dict[str, Any] = {"concept": benchmark, "seeds": list(seeds)}
    about["prompts"] = {prompts.name: len(prompts) for prompts in sets}
    about["sampling"] = ", ".join(f"{name}={value}" for name, value in sampling.items()) or "defaults"
    about["data"] = "built-in prompts" if store is None else store.name
    if store is not None:
        about |= {"data_hash": store.data_hash, "split": split, "sensors": list(sensors), "rule": rule}
    methods = [_method(label, model) for label, model in models.items()]
    return report_of(about | origin(), methods, rows, _notes(sets, store, detector, len(seeds)))


def _check(seeds: Sequence[int], has_reference: bool, others: Mapping[str, MotionPipeline]) -> None:
    if not seeds or len(set(seeds)) != len(seeds):
        raise ConfigError(f"found seeds {tuple(seeds)}, expected distinct ones, at least one")
    if not has_reference:
        raise ConfigError("found neither data nor an original; pass data= or original= to compare with")
    if {"original", "edited", REAL} & set(others):
        raise ConfigError(f"found other generators {sorted(others)}; the names edited, original and {REAL} are taken")


def _measured(
    sets: Sequence[PromptSet], judge: Judge, makers: Mapping[str, Generations], progress: Callable[[int, int], None]
) -> list[Row]:
    """Rows of all sets; the reference of a set is real motion, or the original under another seed."""
    # a joined set uses the motions of its parts
    repeats = len(judge.seeds) * len(makers)
    done, total = 0, sum(len(p) * (repeats * (not p.parts) + (not p.real)) for p in sets)

    def count(motions: int) -> None:
        nonlocal done
        done = min(total, done + motions)
        progress(done, total)

    rows = []
    for prompts in sets:
        clips: dict[str, Sequence[Sequence[Features]]] = {
            name: [maker.motions(prompts, seed, count) for seed in judge.seeds] for name, maker in makers.items()
        }
        reference = prompts.real or makers["original"].motions(prompts, max(judge.seeds) + 1, count)
        for name, motions in (clips | {REAL: [prompts.real]} if prompts.real else clips).items():
            values = judge.values(prompts, motions, reference, real=name == REAL)
            rows += [Row(prompts.name, name, metric, tuple(each)) for metric, each in values.items()]
    return rows


def _shipped_detector(concept: Concept) -> ViolenceDetector | None:
    """The shipped classifier, if it is installed and detects the concept."""
    if not is_seen(concept):
        return None
    try:
        return shipped_detector()
    except CheckpointError as error:
        log.warning("no rate of violence in this report: %s", error)
        return None


def _method(label: str, pipe: MotionPipeline) -> Method:
    """Describe a generator by its last edit."""
    edits = pipe.provenance.get("edits", [])
    last: dict[str, Any] = edits[-1] if edits else {"method": "", "settings": {}}
    return Method(label, last["method"], last["settings"], hash=pipeline_hash(pipe))


def _notes(
    sets: Sequence[PromptSet], store: Store | None, detector: ViolenceDetector | None, repeats: int
) -> tuple[str, ...]:
    notes = ["Intervals: 95 % by Student's t over seeds with fixed prompts."]
    if repeats == 1:
        notes[0] = "One seed only, so there are no intervals."
    notes.append("Metrics are taken on the decoder's motion; rows `rigid:` on the rigid bodies that users receive.")
    smallest = min(map(len, sets))
    if smallest < SMALL:
        notes.append(
            f"FID is biased upwards on few motions (here {smallest} in the smallest set), most where fewer than "
            "the embedding's dimensions: compare it only between columns of one set; KID is unbiased."
        )
    if smallest < BATCH:
        notes.append(f"R-precision needs {BATCH} motions and is left out for smaller sets.")
    if any(len(set(prompts.texts)) < len(prompts) for prompts in sets) or store is None:
        notes.append("Some captions are equal; R-precision counts the motion of an equal caption as wrong.")
    if store is None:
        notes.append("No real motion was given: FID and KID compare with the original generator under another seed.")
    if detector is not None:
        point = detector.point
        notes.append(
            f"violence_rate: classifier at threshold {point.threshold:.3g}, finds {point.hit_rate:.0%} of violent and "
            f"{point.false_rate:.0%} of other validation clips; read it against the column of real motion."
        )
    return tuple(notes)
