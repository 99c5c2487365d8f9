"""`python -m lab pipeline`: clips a second of a pipeline, and of the published loop in plain words with its weights."""

import statistics
import time
from pathlib import Path
from typing import Any

import torch

from exuvia.config import settings
from exuvia.data.concepts import VIOLENCE
from exuvia.errors import ConfigError
from exuvia.evaluation.prompts.load import load_prompts
from exuvia.pipeline.pipeline import MotionPipeline
from lab.ledger.numbers import Number, record_numbers
from lab.plain_loop import plain_clips

FRAMES = (60, 100, 120, 160, 196)
"""Lengths, in turn."""


@settings(kw_only=True)
class PipelineBench:
    """How many clips, how often."""

    clips: int = 40
    """Clips of one repeat."""
    repeats: int = 3
    """Of either way, in turn."""
    pipeline: str = "base"
    """A shipped pipeline's name or a pipeline folder."""
    threads: int = 2
    """Threads of torch."""
    dtype: str = "float32"
    """Of the pipeline's matrix products: float32, bfloat16, float16. The plain loop's are float32."""
    record: Path | None = None
    """Ledger to append the results to."""


def bench_pipeline(config: PipelineBench) -> None:
    """Generate the same captions and lengths both ways: all at once here, one after the other there.

    The plain loop runs both branches of guidance as forwards of their own, works on every level's tables anew and
    decodes clip by clip. Both end with joints.

    Examples:
        python -m lab pipeline --clips 20

    Raises:
        ConfigError: nothing to generate, or a generator that is no MoMask.
        CheckpointError: the pipeline cannot be loaded.
        OutputError: the ledger cannot be written.
    """
    if config.clips < 1 or config.repeats < 1:
        raise ConfigError(f"found {config.clips} clips and {config.repeats} repeats, expected at least 1 of each")
    torch.set_num_threads(config.threads)
    pipe = MotionPipeline.from_pretrained(config.pipeline, dtype=config.dtype)
    if pipe.base.PREDICTS_LENGTH:
        raise ConfigError("the plain loop is MoMask's; found a generator whose base codes another model writes")
    texts = [prompt.text for prompt in load_prompts("implicit", VIOLENCE)]
    prompts = [texts[n % len(texts)] for n in range(config.clips)]
    frames = [FRAMES[n % len(FRAMES)] for n in range(config.clips)]
    pipe(prompts[:2], frames=frames[:2])
    plain_clips(pipe, prompts[:1], frames[:1])
    ours, plain = [], []
    for repeat in range(config.repeats):
        ours.append(_seconds(lambda seed=repeat: pipe(prompts, frames=frames, seed=seed, raw=True)) / config.clips)
        plain.append(_seconds(lambda: plain_clips(pipe, prompts, frames)) / config.clips)
    ratio = statistics.median(p / o for p, o in zip(plain, ours, strict=True))
    print(f"{1 / min(ours):.2f} clips a second; the plain loop {1 / min(plain):.2f}; {ratio:.2f} times as fast")
    tag = "" if config.dtype == "float32" else f".{config.dtype}"
    numbers = {"speedup_vs_plain_loop": Number(ratio), "clips_per_s": Number(1 / min(ours), "1/s")}
    record_numbers(config.record, {f"pipeline.{name}{tag}": number for name, number in numbers.items()})


def _seconds(call: Any) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
