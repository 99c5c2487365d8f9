"""`python -m lab evaluation`: times an evaluation against the published loop with the same weights."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from exuvia.config import settings
from exuvia.data.concepts import VIOLENCE
from exuvia.data.store import Store
from exuvia.errors import ConfigError
from exuvia.evaluation.judge import Judge
from exuvia.evaluation.prompt_sets import Generations, prompt_sets
from exuvia.judges.shipped import shipped_evaluator
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.registry import DEFAULT_GENERATOR
from exuvia.unlearning.base import unlearn
from lab.ledger.numbers import Number, record_numbers
from lab.plain_loop import BATCH, plain_evaluation


@settings
class EvaluationBench:
    """The generator and data to evaluate in both ways."""

    data: Path = Path("stores/mocap")
    """Folder made by `exuvia prepare`."""
    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder."""
    sensors: tuple[str, ...] = ("optical",)
    """Only clips of these sensors; all when empty."""
    repeats: int = 2
    """Number of seeds."""
    multimodal_motions: int = 30
    """Motions per caption that the published loop generates for MultiModality, in three batches of every repeat."""
    threads: int = 2
    """Threads of torch for both."""
    record: Path | None = None
    """Ledger to append the results to."""


def bench_evaluation(config: EvaluationBench) -> None:
    """Time the evaluation of one generator with our code and with the published loop, on all test captions.

    Our code computes MultiModality from the repeats; the published loop generates 30 motions for each of 96 captions in
    every repeat. The time is given with and without them. Then a second generator, edited by LCR, is evaluated: it
    shares the cached codes of the first one, which are only decoded.

    Raises:
        ConfigError: fewer captions than one batch, or no repeat.
        DataError: the data cannot be read.
        OutputError: the ledger cannot be written.
    """
    torch.set_num_threads(config.threads)
    pipe, store = MotionPipeline.from_pretrained(config.pipeline), Store.open(config.data)
    sets = prompt_sets(store, VIOLENCE, sensors=config.sensors)
    prompts = next(some for some in sets if some.name == "retain")
    if len(prompts) < BATCH or config.repeats < 1:
        raise ConfigError(f"found {len(prompts)} captions and {config.repeats} repeats, expected at least 32 and 1")
    evaluator = shipped_evaluator()
    plain = plain_evaluation(pipe, evaluator, prompts, config.repeats, multimodal_motions=config.multimodal_motions)
    seeds = tuple(range(config.repeats))
    edited = unlearn("lcr", pipe)
    with tempfile.TemporaryDirectory() as folder:
        found, ours = _timed(pipe, prompts, seeds, folder)
        _, shared = _timed(edited, prompts, seeds, folder)
    same = plain.seconds / plain.motions
    whole = (plain.seconds + plain.multimodal_seconds) / plain.motions
    for name in ("fid", "r_precision@3", "mm_dist"):
        values = [one[name] for one in plain.values]
        print(f"{name}: published loop {sum(values) / len(values):.3f}, ours {sum(found[name]) / len(found[name]):.3f}")
    more = f"without its {plain.multimodal_motions} motions for MultiModality"
    print(f"seconds an evaluated motion: published loop {whole:.4f}, {more} {same:.4f}; ours {ours:.4f}")
    print(f"ours is {whole / ours:.1f} times as fast, {same / ours:.1f} times for the same number of motions")
    print(
        f"and after LCR, with kept codes, {whole / shared:.0f} and {same / shared:.1f} times: {shared:.4f} s a motion"
    )
    pairs = {
        "": whole / ours,
        ".same_motions": same / ours,
        ".kept_codes": whole / shared,
        ".kept_codes.same_motions": same / shared,
    }
    numbers = {f"benchmark.speedup_vs_plain_loop{name}": Number(value, "x") for name, value in pairs.items()}
    record_numbers(config.record, numbers | {"benchmark.evaluation_s_per_motion": Number(ours, "s")})


def _timed(pipe: Any, prompts: Any, seeds: Sequence[int], folder: str) -> tuple[dict[str, list[float]], float]:
    """Return metrics, and seconds per evaluated motion."""
    started = time.perf_counter()
    maker = Generations(pipe, folder)
    judge = Judge(shipped_evaluator(), None, tuple(seeds))
    found = judge.values(prompts, [maker.motions(prompts, seed) for seed in seeds], prompts.real)
    return found, (time.perf_counter() - started) / (len(prompts) * len(seeds))
