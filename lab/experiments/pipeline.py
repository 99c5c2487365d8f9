"""`python -m lab pipeline`: clips per second of a pipeline, and of a plain version of the published loop."""

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
from exuvia.registry import DEFAULT_GENERATOR
from lab.ledger.numbers import Number, record_numbers
from lab.plain_loop import plain_clips

FRAMES = (60, 100, 120, 160, 196)
"""Lengths of the clips, repeated cyclically."""


@settings(kw_only=True)
class PipelineBench:
    """Number of clips and repeats."""

    clips: int = 40
    """Clips per repeat."""
    repeats: int = 3
    """Number of repeats of both variants, which take turns."""
    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder."""
    threads: int = 2
    """Threads of torch."""
    dtype: str = "float32"
    """Precision of the pipeline's matrix products: float32, bfloat16, float16. The plain loop uses float32."""
    record: Path | None = None
    """Ledger to append the results to."""


def bench_pipeline(config: PipelineBench) -> None:
    """Generate the same captions and lengths with the pipeline, as a batch, and with the plain loop, one by one.

    The plain loop runs the two branches of guidance as separate forward passes, recomputes the tables of every level
    and decodes clip by clip. Both end with joints.

    Examples:
        python -m lab pipeline --clips 20

    Raises:
        ConfigError: nothing to generate, or a generator that is not MoMask.
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
    print(f"{1 / min(ours):.2f} clips per second; the plain loop {1 / min(plain):.2f}; {ratio:.2f} times as fast")
    tag = "" if config.dtype == "float32" else f".{config.dtype}"
    numbers = {"speedup_vs_plain_loop": Number(ratio), "clips_per_s": Number(1 / min(ours), "1/s")}
    record_numbers(
        config.record, {f"pipeline.{name}{tag}": number for name, number in numbers.items()}, pipeline=config.pipeline
    )


def _seconds(call: Any) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
