"""`exuvia stream`: generates one motion of any length from several prompts."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from pydantic import Field

from exuvia.commands.generate import read_prompt
from exuvia.commands.switches import written_suffix
from exuvia.config import Natural, Seed, settings
from exuvia.device import Device
from exuvia.errors import ConfigError
from exuvia.pipeline.settings import CodeSteps, LongConfig
from exuvia.progress import progress_bar
from exuvia.registry import DEFAULT_GENERATOR

MOST = 10_000_000
"""Maximum number of frames of one motion, which is in memory until it is written."""


@settings
class StreamConfig:
    """Prompts and output file."""

    prompts: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PROMPT ...")]
    """Sentences in order; `sentence#120` lasts 120 frames."""
    out: Path = Path("motion.html")
    """Output file with suffix .npy .npz .bvh .glb .mp4 .gif .png or .html."""
    frames: Annotated[int, Field(ge=4, le=1_000_000)] = 120
    """Length in frames (20 per second) of sentences without a length."""
    repeat: Annotated[int, Field(ge=1, le=100_000)] = 1
    """Number of repetitions of the sentences."""
    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder."""
    seed: Seed = 0
    """Seed of the motion."""
    context: CodeSteps = 16
    """Number of code steps (4 frames each) of the existing motion that the next window includes."""
    blend: Natural = 3
    """Number of these steps, at the end, that are rewritten under the next sentence."""
    device: Device = "cpu"
    """Device of the models: cpu, cuda, cuda:1, mps."""


def stream(config: StreamConfig) -> None:
    """Generate one motion that shows one sentence after another; an interrupt writes the finished part."""
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.pipeline.stream import Scene
    from exuvia.pipeline.stream import stream as stream_clips

    written_suffix(config.out.suffix)
    if not config.prompts:
        raise ConfigError("found no sentence, expected at least one")
    joined = LongConfig(config.context, config.blend)
    lines = [read_prompt(line, "the command line") for line in config.prompts]
    total = sum(frames or config.frames for _, frames in lines) * config.repeat
    if total > MOST:
        raise ConfigError(f"found {total} frames in all, expected at most {MOST}; ask for fewer, or a smaller --repeat")
    pipe = MotionPipeline.from_pretrained(config.pipeline, device=config.device)
    pieces: list[Any] = []
    try:
        scenes = [Scene(prompt, frames or config.frames) for prompt, frames in lines * config.repeat]
        done = 0
        with progress_bar("stream", "frames") as progress:
            for piece in stream_clips(pipe, scenes, seed=config.seed, config=joined):
                pieces.append(piece)
                done += piece.frames
                progress(done, total)
    except KeyboardInterrupt:
        if not pieces:
            raise
        print("interrupted: the finished part is written", file=sys.stderr)
    joints = np.concatenate([piece.joints for piece in pieces])
    shown = _shown(scenes, len(joints), pipe.tokenizer.config.stride)
    caption = "; ".join(dict.fromkeys(text for _, text in shown))
    meta = {**pieces[0].meta, "scenes": shown}
    print(replace(pieces[0], joints=joints, caption=caption, meta=meta).save(config.out))


def _shown(scenes: list[Any], frames: int, stride: int) -> list[tuple[int, str]]:
    """First frame and caption of every scene that a motion of this length contains."""
    shown, first = [], 0
    for scene in scenes:
        if first < frames:
            shown.append((first, scene.prompt))
        first += scene.frames // stride * stride
    return shown
