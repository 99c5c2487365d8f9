"""`python -m lab`: how long the steps take, measured several times and written down on request."""

import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro

from exuvia.config import settings
from exuvia.data.store import Store
from exuvia.errors import ConfigError
from exuvia.features.humanml3d import HUMANML3D
from exuvia.motion.skeleton import SMPL22
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.recipes.tokenizer import reconstruction_error_mm
from exuvia.shapes import Joints
from exuvia.unlearning.base import unlearn
from lab.code_statistics import bench_statistics as time_statistics
from lab.ledger.numbers import record_number


@dataclass(frozen=True)
class Timing:
    """Seconds of several runs of one thing."""

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        """The fastest run: the one least disturbed by other work on the machine."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The middle run."""
        return statistics.median(self.seconds)


@settings
class FeaturesBench:
    """How many motions to encode, how often, with how many threads."""

    clips: int = 1000
    """Number of motions."""
    frames: int = 196
    """Frames a motion; 196 is the longest in HumanML3D."""
    threads: int = 2
    """Threads that encode."""
    repeats: int = 5
    """Runs after one that warms up."""
    seed: int = 0
    """Of the made-up motions."""
    record: Path | None = None
    """Ledger to append the result to, e.g. docs/results/numbers.jsonl."""


@settings
class LCRBench:
    """Which edit to time."""

    pipeline: str = "base"
    """A shipped pipeline's name or a pipeline folder."""
    forget: str = "violence"
    """Concept to forget."""
    num_codes: int = 64
    """Codebook rows to replace."""
    repeats: int = 3
    """Runs after one that warms up."""
    record: Path | None = None
    """Ledger to append the results to."""


@settings
class StatisticsBenchConfig:
    """How code statistics are timed: random weights at the published size, made-up clips of HumanML3D's lengths."""

    clips: int = 600
    """Clips to encode and count."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the encoder."""
    threads: int = 2
    """Threads of torch."""
    record: Path | None = None
    """Ledger to append the results to."""


@settings
class TokenizerBench:
    """Whose reconstruction to measure, on which clips."""

    data: tyro.conf.Positional[Path]
    """Folder made by `exuvia prepare`."""
    pipeline: str = "base"
    """A shipped pipeline's name or a pipeline folder."""
    split: str = "test"
    """Which clips."""
    sensors: tuple[str, ...] = ("optical",)
    """Only clips of these sensors; all when empty."""
    record: Path | None = None
    """Ledger to append the result to."""


def bench_statistics(config: StatisticsBenchConfig) -> None:
    """Time the one pass over motion that LCR needs: encode, count; and what 25,000 clips would take.

    Raises:
        OutputError: the ledger cannot be written.
    """
    torch.set_num_threads(config.threads)
    found = time_statistics(config.clips, precision=config.precision)
    print(
        f"{found.clips_per_s:.0f} clips/s in {config.precision}, {config.threads} threads; "
        f"25,000 clips of 7.1 s would take {found.corpus_seconds:.0f} s"
    )
    if config.record:
        settings = f"--clips {config.clips} --precision {config.precision} --threads {config.threads}"
        line = _command_line(f"bench statistics {settings}", config.record)
        record_number(config.record, "lcr.stats_clips_per_s", found.clips_per_s, unit="1/s", command=line)
        record_number(config.record, "lcr.stats_25000_clips_s", found.corpus_seconds, unit="s", command=line)


def bench_tokenizer(config: TokenizerBench) -> None:
    """Measure the joint error of held-out clips after encoding and decoding, roots laid upon one another.

    Raises:
        DataError: no store.
        ConfigError: no such clips.
        OutputError: the ledger cannot be written.
    """
    pipe, store = MotionPipeline.from_pretrained(config.pipeline), Store.open(config.data)
    wanted: dict[str, Any] = {"split": config.split} | ({"sensor": list(config.sensors)} if config.sensors else {})
    clips = [np.asarray(store.features(int(n))) for n in store.select(**wanted)]
    if not clips:
        raise ConfigError(f"{config.data} has no {config.split} clips of {', '.join(config.sensors) or 'any sensor'}")
    error = reconstruction_error_mm
    aligned, placed = np.mean([error(pipe.tokenizer, pipe.normaliser, clip) for clip in clips], axis=0)
    print(f"{len(clips)} clips: {aligned:.1f} mm with the roots aligned, {placed:.1f} mm as placed")
    if config.record:
        which = f"{'_'.join(config.sensors) or 'all'}_{config.split}"
        line = _command_line(f"bench tokenizer {config.data} --pipeline {config.pipeline}", config.record)
        record_number(config.record, f"tokenizer.mpjpe_mm.{which}", float(aligned), unit="mm", command=line)
        record_number(config.record, f"tokenizer.mpjpe_placed_mm.{which}", float(placed), unit="mm", command=line)


def bench_features(config: FeaturesBench) -> None:
    """Time the encoding of motions as HumanML3D features; the best of several runs counts, the range is kept.

    Raises:
        ConfigError: a count that is not positive.
        OutputError: the ledger cannot be written.
    """
    if min(config.clips, config.threads, config.repeats) < 1 or config.frames < 2:
        raise ConfigError("found a count below 1 or fewer than 2 frames, expected positive counts")
    encode = HUMANML3D.encode
    motions = made_up_motions(config.clips, config.frames, config.seed)
    batches = [motions[start :: config.threads] for start in range(config.threads)]
    with ThreadPoolExecutor(config.threads) as pool:
        timing = measure(lambda: list(pool.map(encode, batches)), config.repeats)
    _tell(f"encode {config.clips} motions of {config.frames} frames, {config.threads} threads", timing)
    if config.record:
        settings = f"--clips {config.clips} --frames {config.frames} --threads {config.threads}"
        _record(config.record, f"features.encode_{config.clips}_clips_s", timing, f"bench features {settings}")


def bench_lcr(config: LCRBench) -> None:
    """Time latent code replacement on a loaded pipeline: seconds of the edit and peak memory of the process.

    Raises:
        CheckpointError: the pipeline cannot be loaded.
        OutputError: the ledger cannot be written.
    """
    if config.repeats < 1:
        raise ConfigError(f"found {config.repeats} repeats, expected at least 1")
    pipe = MotionPipeline.from_pretrained(config.pipeline)
    edit = unlearn
    timing = measure(lambda: edit("lcr", pipe, forget=config.forget, num_codes=config.num_codes), config.repeats)
    memory_mb = peak_memory_mb()
    _tell(f"lcr on {config.pipeline}, {config.num_codes} codes", timing)
    print(f"peak memory of the process: {memory_mb:.0f} MB")
    if config.record:
        settings = f"--pipeline {config.pipeline} --forget {config.forget} --num-codes {config.num_codes}"
        command = f"bench lcr {settings}"
        _record(config.record, "lcr.edit_s", timing, command)
        line = _command_line(command, config.record)
        record_number(config.record, "lcr.peak_memory_mb", memory_mb, unit="MB", command=line)


def measure(action: Callable[[], Any], repeats: int) -> Timing:
    """Seconds of `repeats` runs, after one that is not counted."""
    action()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - started)
    return Timing(tuple(seconds))


def made_up_motions(count: int, frames: int, seed: int) -> list[Joints]:
    """Bodies that wander and sway: smooth, of one size, no two alike.   count arrays [F, 22, 3], metres

    Only their size matters to a timing; they are not meant to look like people.
    """
    rng = np.random.default_rng(seed)
    skeleton = SMPL22
    pose = np.zeros((skeleton.num_joints, 3))
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            pose[joint] = pose[parent] + skeleton.rest_offsets[joint]
    pose[:, 1] -= pose[:, 1].min()
    steps = np.arange(frames)[:, None, None] / 20.0
    motions = []
    for _ in range(count):
        phase = rng.uniform(0, 2 * np.pi, (1, *pose.shape))
        sway = 0.05 * np.sin(2 * np.pi * rng.uniform(0.3, 1.5) * steps + phase)
        path = steps * rng.uniform(-1, 1, (1, 1, 3)) * np.asarray([1.0, 0.0, 1.0])
        motions.append((pose + sway + path).astype(np.float32))
    return motions


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, in megabytes."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 1e6 if sys.platform == "darwin" else size * 1024 / 1e6


def _tell(what: str, timing: Timing) -> None:
    print(f"{what}: best {timing.best:.3f} s, median {timing.median:.3f} s of {len(timing.seconds)}")


def _record(path: Path, name: str, timing: Timing, command: str) -> None:
    low, high = min(timing.seconds), max(timing.seconds)
    line = _command_line(command, path)
    record_number(path, name, timing.best, unit="s", command=line, low=low, high=high)


def _command_line(command: str, path: Path) -> str:
    return f"exuvia {command} --record {path}"
