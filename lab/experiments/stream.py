"""`python -m lab long`: measures joins, drift and cost of endless motion, compared with clips laid end to end."""

import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exuvia.config import settings
from exuvia.errors import ConfigError
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.pipeline.stream import Scene, stream
from exuvia.registry import DEFAULT_GENERATOR
from lab.ledger.numbers import Number, record_numbers
from lab.memory import give_freed_pages_back, peak_extra_bytes

PROMPTS = (
    "a person walks forward", "a person turns around", "a person sits down", "a person stands up",
    "a person waves with both hands", "a person jumps", "a person kicks with the right leg",
    "a person walks in a circle",
    "a person bends down and picks something up", "a person stretches both arms", "a person runs forward",
    "a person steps to the side",
)  # fmt: skip


@settings(kw_only=True)
class StreamBench:
    """Length of the motion."""

    minutes: float = 10.0
    """Minutes of the longer motion; the shorter one is a tenth of it."""
    frames: int = 100
    """Frames of each scene."""
    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder."""
    seed: int = 0
    """Seed of the motion."""
    threads: int = 2
    """Threads of torch."""
    record: Path | None = None
    """Ledger to append the results to."""
    tag: str = ""
    """Suffix of the names in the ledger, such as .causal."""


def bench_stream(config: StreamBench) -> None:
    """Stream one long motion of many scenes, and measure its joins, drift from the ground, time and memory.

    Examples:
        python -m lab long --minutes 2

    Raises:
        ConfigError: no duration, or scenes that are longer than the motion.
        CheckpointError: the pipeline cannot be loaded.
        OutputError: the ledger cannot be written.
    """
    count = int(config.minutes * 1200 / max(1, config.frames))
    if count < 20 or config.frames < 4:
        raise ConfigError(f"found {count} scenes of {config.frames} frames, expected at least 20 of 4 or more")
    torch.set_num_threads(config.threads)
    pipe = MotionPipeline.from_pretrained(config.pipeline)
    give_freed_pages_back()
    list(stream(pipe, _scenes(config, 2)))  # loads libraries
    short = peak_extra_bytes(lambda: _consumed(pipe, config, count // 10))
    long = peak_extra_bytes(lambda: _consumed(pipe, config, count))
    started = time.perf_counter()
    joints = np.concatenate([clip.joints for clip in stream(pipe, _scenes(config, count), seed=config.seed)])
    seconds = time.perf_counter() - started
    stride = pipe.tokenizer.config.stride
    frames = config.frames // stride * stride
    apart = pipe([PROMPTS[n % len(PROMPTS)] for n in range(count)], seed=list(range(count)), frames=frames)
    floor = joints[..., 1].min(1)
    numbers = {
        "long.join_jump_ratio": Number(join_jump_ratio(np.split(joints, range(frames, len(joints), frames)))),
        "long.join_jump_ratio.end_to_end": Number(join_jump_ratio(_laid(apart))),
        "long.floor_drift_mm": Number(1000 * float(floor[-1200:].mean() - floor[:1200].mean()), "mm"),
        "long.seconds_a_minute": Number(seconds / (len(joints) / 1200), "s"),
    }
    if short is not None and long is not None:
        numbers |= {"long.peak_mb.tenth": Number(short / 1e6, "MB"), "long.peak_mb": Number(long / 1e6, "MB")}
    print(f"{len(joints)} frames, {count} scenes")
    for name, number in numbers.items():
        print(f"{name} {number.value:.3f} {number.unit}")
    record_numbers(config.record, {name + config.tag: number for name, number in numbers.items()}, seed=config.seed)


def _scenes(config: StreamBench, count: int) -> Iterator[Any]:
    return (Scene(prompt, config.frames) for prompt in itertools.islice(itertools.cycle(PROMPTS), count))


def _consumed(pipe: Any, config: StreamBench, count: int) -> None:
    """Process the pieces one after another, like a player."""
    for _ in stream(pipe, _scenes(config, count), seed=config.seed):
        pass


def join_jump_ratio(joints: Sequence[np.ndarray], fps: float = 20.0) -> float:
    """Return mean joint acceleration around joins over that of all other frames; 1: a join is like any frame.

    Args:
        joints: pieces [F, J, 3], metres, in order
    Raises:
        ConfigError: fewer than two pieces.
    """
    if len(joints) < 2:
        raise ConfigError(f"found {len(joints)} piece(s), expected at least 2 to measure a join")
    whole = np.concatenate(list(joints))
    acceleration = np.linalg.norm(np.diff(whole, n=2, axis=0), axis=-1).mean(-1) * fps**2
    near = np.zeros(len(acceleration), bool)
    for cut in np.cumsum([len(piece) for piece in joints])[:-1]:
        near[max(0, cut - 4) : cut + 3] = True
    return float(acceleration[near].mean() / acceleration[~near].mean())


def _laid(clips: Sequence[Any]) -> list[Any]:
    """Lay clips end to end on the ground: each begins where the previous one ended, with its own heading."""
    found, place = [], np.zeros(3)
    for clip in clips:
        joints = clip.joints + (place - clip.joints[0, 0]) * (1, 0, 1)
        found.append(joints)
        place = joints[-1, 0]
    return found
