"""Endless motion: one caption after another, each continued from the last code steps of the previous one.

A masked transformer fills a window: the last steps of the existing motion are fixed, and masked steps follow them. A
causal generator reads the caption and the last steps at the start of a scene, then continues from its carried state for
any length. In both cases the last few steps before a join are rewritten under the next caption: the model itself makes
the transition. Decoding looks a fixed number of steps ahead (the reach of the decoder's convolutions), and the path is
carried from piece to piece. Memory does not grow with the motion, and the joined pieces equal the result of decoding
everything at once.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from exuvia.errors import ConfigError
from exuvia.features.humanml3d import HUMANML3D
from exuvia.features.representation import recover_root
from exuvia.motion.clip import Clip
from exuvia.motion.rigid import RigidStream
from exuvia.pipeline.settings import LongConfig, check_prompts
from exuvia.sequence.causal import CausalGenerator, CausalState
from exuvia.sequence.mask_transformer import MaskTransformer
from exuvia.sequence.sampling import SamplingOptions, seeded_noise
from exuvia.shapes import Features
from exuvia.text.tags import warn_of_unknown
from exuvia.tokens.settings import RVQVAEConfig

if TYPE_CHECKING:
    from exuvia.pipeline.pipeline import MotionPipeline


@dataclass(frozen=True)
class Scene:
    """One caption and its duration."""

    prompt: str
    """Description of the motion, in English."""
    frames: int = 120
    """Length in frames (20 per second), rounded down to whole code steps."""


def stream(
    pipe: "MotionPipeline",
    scenes: Iterable[Scene],
    *,
    seed: int = 0,
    config: LongConfig | None = None,
    raw: bool = False,
) -> Iterator[Clip]:
    """Yield consecutive clips, a piece at a time; joined end to end they are one motion of one rigid body.

    Args:
        pipe: a generator with a masked transformer, or a causal one
        scenes: captions with lengths, read one by one; there may be infinitely many
        seed: the same seed and scenes give the same motion
        config: how scenes are joined
        raw: return the decoder's joints, without a delay, instead of a rigid body (motion/rigid.py)
    Raises:
        ConfigError: an empty caption, a scene of less than a code step, or a generator that cannot fill gaps.
    """
    path, rigid, captions = _Path(), None if raw else RigidStream(HUMANML3D.fps), [""]
    none = np.zeros((0, HUMANML3D.skeleton.num_joints, 3), np.float32)
    pieces = ((path.placed(rows), caption) for rows, caption in long_features(pipe, scenes, seed=seed, config=config))
    for joints, caption in itertools.chain(pieces, [(none, "")]):
        captions += [caption] * len(joints)
        if rigid is not None:
            joints = rigid.add(joints, last=not len(joints))
        if len(joints) > 1:
            del captions[: len(joints)]
            yield Clip(joints, caption=captions[0], meta={"prompt": captions[0], "seed": seed})


def long_features(
    pipe: "MotionPipeline", scenes: Iterable[Scene], *, seed: int = 0, config: LongConfig | None = None
) -> Iterator[tuple[Features, str]]:
    """Yield un-normalised features [F, C] of consecutive frames, and the caption of the last ones."""
    config, reach = config or LongConfig(), decoder_reach(pipe.tokenizer.config)
    stride, smooth = pipe.tokenizer.config.stride, pipe.generation.smoothing
    if smooth > 0:
        reach += int(np.ceil(4 * smooth / stride))

    def decoded(codes: Tensor) -> Features:
        return pipe.decode(codes[None], torch.tensor([len(codes)]), smoothing=smooth)[0]

    held: Tensor | None = None  # steps not yet returned, with `reach` steps before them
    given, caption = 0, ""
    for codes, caption in _written(pipe, scenes, seed, config):
        held = codes if held is None else torch.cat([held, codes])
        ready = len(held) - reach
        if ready > given:
            yield decoded(held)[stride * given : stride * ready], caption
            drop = max(0, ready - reach)
            held, given = held[drop:], ready - drop
    if held is not None and len(held) > given:
        yield decoded(held)[stride * given :], caption


def decoder_reach(config: RVQVAEConfig) -> int:
    """Number of code steps on either side that a decoded frame depends on."""
    stack = sum(config.dilation_growth**i for i in range(config.depth))
    frames = 2.0**config.down
    reach = 1 + sum((stack + 0.5) / 2**stage for stage in range(config.down)) + 2 / frames
    return int(np.ceil(reach))


def _written(
    pipe: "MotionPipeline", scenes: Iterable[Scene], seed: int, config: LongConfig
) -> Iterator[tuple[Tensor, str]]:
    """Yield final codes [n, Q] in order, and their captions."""
    if not isinstance(pipe.base, MaskTransformer | CausalGenerator):
        raise ConfigError("motion without an end needs a masked or a causal generator; BAMM writes whole motions only")
    if pipe.representation.name != HUMANML3D.name:
        raise ConfigError(f"motion without an end needs HumanML3D's features; found {pipe.representation.name}'s")
    window, stride = pipe.generation.max_steps, pipe.tokenizer.config.stride
    if window <= config.context:
        raise ConfigError(f"found a context of {config.context} steps, expected less than the {window} of a window")
    past, fixed, number = torch.zeros(0, pipe.tokenizer.config.num_quantizers, dtype=torch.long), 0, 0
    caption = ""
    for scene in scenes:
        check_prompts([scene.prompt])
        warn_of_unknown([scene.prompt], pipe.text)
        steps = scene.frames // stride
        if steps < 1:
            raise ConfigError(f"found a scene of {scene.frames} frames, expected at least {stride}")
        blend, caption, generator = config.blend, scene.prompt, _SceneGenerator(pipe, scene.prompt)
        while steps > 0:
            block = min(steps, window - min(config.context, len(past)))
            keep = past[-config.context :]
            rewrite = min(blend, max(0, len(keep) - 1))
            codes = generator.window(keep, rewrite, block, seed * 1_000_003 + number)
            past = torch.cat([past[: len(past) - len(keep)], codes])
            steps, blend, number = steps - block, 0, number + 1
            done = len(past) - config.blend  # the next scene may still change the steps after this
            if done > fixed:
                yield past[fixed:done], caption
                fixed = done
            drop = max(0, min(fixed, len(past) - config.context))
            past, fixed = past[drop:], fixed - drop
    if len(past) > fixed:
        yield past[fixed:], caption


class _SceneGenerator:
    """Generates the windows of one scene."""

    def __init__(self, pipe: "MotionPipeline", prompt: str) -> None:
        self.pipe, states = pipe, pipe.text.encode([prompt])
        pooled = pipe.config["text"]["pooled"]
        self.cond = (states.pooled[:, None] if pooled else states.states).to(pipe.device)
        self.known = None if pooled else states.valid.to(pipe.device)
        self.state: CausalState | None = None

    @torch.inference_mode()
    def window(self, keep: Tensor, rewrite: int, block: int, seed: int) -> Tensor:
        """Codes [k + block, Q]: the given ones, with the last `rewrite` of them generated again, and `block` more."""
        settings, model, fixed = self.pipe.generation, self.pipe.base, len(keep) - rewrite
        size = torch.tensor([len(keep) + block], device=self.pipe.device)
        base = torch.zeros(1, len(keep) + block, dtype=torch.long)
        base[0, :fixed] = keep[:fixed, 0]
        if isinstance(model, CausalGenerator):
            if self.state is None:  # the scene's first window reads the given codes; later ones use the state
                self.state = CausalState(model, self.cond, self.known, SamplingOptions(**settings.of_base()))
                self.state.read(base[:, :fixed])
            noise = seeded_noise([seed], 1, rewrite + block)[0] if settings.temperature > 0 else None
            base[:, fixed:] = self.state.write(rewrite + block, noise).cpu()
        else:  # all positions after the fixed codes at once
            assert isinstance(model, MaskTransformer)
            region = torch.arange(len(keep) + block)[None] >= fixed
            options = SamplingOptions(**settings.of_base(), seeds=[seed], steps=settings.steps)
            base = model.edit(base, self.cond, size, self.known, options, region=region)
        given = base.to(self.pipe.device), self.cond, size, self.known
        codes = self.pipe.residual.generate(*given, seeds=[seed + 1], **settings.of_residual())[0].cpu()
        codes[:fixed] = keep[:fixed]
        return codes


class _Path:
    """Position and heading of the body at the end of a piece."""

    def __init__(self) -> None:
        self.last: Features | None = None
        self.angle, self.x, self.z = 0.0, 0.0, 0.0

    def placed(self, rows: Features) -> np.ndarray:
        """Joints [F, 22, 3] of the next frames, continued from the end of the previous ones."""
        before = 0 if self.last is None else 1
        rows = rows if self.last is None else np.concatenate([self.last, rows])
        joints, (quaternion, root) = HUMANML3D.recover(rows).astype(np.float64), recover_root(rows.astype(np.float64))
        cos, sin = np.cos(2 * self.angle), np.sin(2 * self.angle)
        turned = joints.copy()
        turned[..., 0] = self.x + cos * joints[..., 0] - sin * joints[..., 2]
        turned[..., 2] = self.z + sin * joints[..., 0] + cos * joints[..., 2]
        angle = float(np.arctan2(quaternion[-1, 2], quaternion[-1, 0]))
        end_x, end_z = float(root[-1, 0]), float(root[-1, 2])
        self.x, self.z = self.x + cos * end_x - sin * end_z, self.z + sin * end_x + cos * end_z
        self.angle += angle
        self.last = rows[-1:]
        return turned[before:].astype(np.float32)
