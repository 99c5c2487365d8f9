"""Training of the tokenizer on random windows of many clips, validated by the joint error of whole held-out clips."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exuvia.checkpoint import WEIGHTS, ScaledRun, load_into, load_run
from exuvia.config import to_dict
from exuvia.data.clips import ClipSet, open_corpus
from exuvia.features.humanml3d import HUMANML3D
from exuvia.features.normaliser import Normaliser
from exuvia.files import sha256_file
from exuvia.recipes.settings import TokenizerRecipe
from exuvia.shapes import Features, Joints
from exuvia.tokens.draws import SeededDraws
from exuvia.tokens.motion_losses import MotionLoss
from exuvia.tokens.rvqvae import RVQVAE
from exuvia.tokens.settings import RVQVAEConfig
from exuvia.train import fit

SPEEDS = (0.8, 1.25)
"""Speeds of the variants of a clip."""
WRISTS = (20, 21)
"""Numbers of both wrists among the 22 SMPL joints."""


class Windows:
    """Random windows of one length from all clips, drawn by the corpus's shares."""

    def __init__(
        self, chosen: ClipSet, numbers: Sequence[int], clips: Sequence[Features], frames: int, start_share: float
    ) -> None:
        """Args: the corpus; the number in it of each clip; normalised features of the clips; length; see the recipe."""
        self.frames, self.start_share = frames, start_share
        starts = np.asarray([max(0, len(clip) - frames + 1) for clip in clips], np.float64)
        self.clips = clips
        self.starts = starts.astype(np.int64)
        self.cumulative = np.cumsum(chosen.weights(numbers, starts))

    def draw(self, count: int, rng: np.random.Generator) -> Features:
        """[count, frames, C]"""
        clips = np.searchsorted(self.cumulative, rng.random(count) * self.cumulative[-1], side="right")
        offsets = (rng.random(count) * self.starts[clips]).astype(np.int64)
        offsets[rng.random(count) < self.start_share] = 0
        return np.stack([self.clips[c][o : o + self.frames] for c, o in zip(clips, offsets, strict=True)])


def _clips(train: ClipSet, variants: bool) -> tuple[list[Features], list[int]]:
    """Features of all clips and, if asked for, of the variants of real ones; and the number of each clip."""
    clips, numbers = [train.features(number) for number in range(len(train))], list(range(len(train)))
    real = [number for number in numbers if train.record(number).sensor != "synthetic"] if variants else []
    layout = train.stores[0].representation
    for number in real:
        joints = layout.recover(clips[number])
        changed = [joints[::-1], *(_at_speed(joints, speed) for speed in SPEEDS)]
        clips += layout.encode(changed, retarget=False)
        numbers += [number] * len(changed)
    return clips, numbers


def _at_speed(joints: Joints, speed: float) -> Joints:
    """Joints [F, J, 3] played faster or slower, interpolated linearly."""
    at = np.arange(0, len(joints) - 1, speed)
    low, share = at.astype(np.int64), (at % 1)[:, None, None].astype(joints.dtype)
    return joints[low] * (1 - share) + joints[low + 1] * share


class TokenizerTask:
    """Reconstructs windows of motion."""

    def __init__(self, recipe: TokenizerRecipe, corpus: ClipSet) -> None:
        self.recipe = recipe
        train, val = corpus.choose("train"), corpus.choose("val")
        self.joints = corpus.stores[0].representation.skeleton.num_joints
        self.model = RVQVAE(recipe.model)
        self.normaliser, self.facts = self._begin(train)
        skeleton, feet = corpus.stores[0].representation.skeleton, corpus.stores[0].representation.feet
        statistics = self.normaliser.mean, self.normaliser.std
        self.motion = MotionLoss(recipe.motion, statistics, skeleton.parents, feet)
        clips, numbers = _clips(train, recipe.variants)
        clips = [self.normaliser.normalise(clip) for clip in clips]
        self.windows = [Windows(train, numbers, clips, frames, recipe.start_share) for frames in recipe.frames]
        held = [n for n in range(len(val)) if val.record(n).sensor == "optical"] or range(len(val))
        step = max(1, len(held) // recipe.validation_clips)
        self.held = [np.asarray(val.features(number)) for number in held[::step]]

    def _begin(self, train: ClipSet) -> tuple[Normaliser, dict[str, str]]:
        """The statistics to train with, and the fact where weights come from; loads the weights to begin with."""
        if not self.recipe.start:
            return train.normaliser().emphasised(self.recipe.root_emphasis, self.recipe.contact_emphasis), {}
        model, normaliser = load_tokenizer(self.recipe.start)
        load_into(self.model, model.state_dict(), f"the tokenizer of {self.recipe.start}")
        return normaliser, {"start": sha256_file(Path(self.recipe.start) / WEIGHTS)}

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """Windows of one length, normalised [B, F, C]."""
        shares = np.asarray(self.recipe.frame_shares) / sum(self.recipe.frame_shares)
        windows = self.windows[int(rng.choice(len(self.windows), p=shares))]
        return {"features": torch.from_numpy(windows.draw(self.recipe.batch_size, rng))}

    def loss(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Reconstruction, position and commitment terms, and the losses in metres."""
        draws = SeededDraws(generator)
        return self.model.loss(
            batch["features"], draws, joints=self.joints, commit=self.recipe.commit_weight, motion=self.motion
        )

    def validate(self) -> Mapping[str, float]:
        """Mean joint error of whole held-out clips in millimetres, and the preserved share of top hand speed."""
        pairs = [reconstruct(self.model, self.normaliser, clip) for clip in self.held]
        aligned, placed = np.mean([errors_mm(real, ours) for real, ours in pairs], axis=0)
        kept = np.mean([peak_speed(ours) / max(peak_speed(real), 1e-3) for real, ours in pairs])
        return {"mpjpe_mm": aligned, "mpjpe_placed_mm": placed, "peak_hand_speed_kept": float(kept)}

    def describe(self) -> dict[str, Any]:
        """Configuration of the run."""
        about = {k: v for k, v in to_dict(self.recipe).items() if k not in ("out", "train")}
        return {"kind": "tokenizer", **about, **self.normaliser.listed()}


def reconstruct(model: RVQVAE, normaliser: Normaliser, clip: Features) -> tuple[Joints, Joints]:
    """Joints [F', J, 3], metres, of un-normalised features [F, C] before and after coding, in whole code steps."""
    stride = model.config.stride
    rows = np.asarray(clip[: len(clip) // stride * stride])
    device = next(model.parameters()).device
    x = torch.from_numpy(normaliser.normalise(rows))[None].to(device)
    decoded = normaliser.denormalise(model.decode(model.encode(x))[0].float().cpu().numpy())
    return HUMANML3D.recover(rows), HUMANML3D.recover(decoded)


def errors_mm(real: Joints, ours: Joints) -> tuple[float, float]:
    """Mean joint error in mm: with aligned roots (the published MPJPE), and without alignment."""
    placed = np.linalg.norm(real - ours, axis=-1).mean()
    aligned = np.linalg.norm((real - real[:, :1]) - (ours - ours[:, :1]), axis=-1).mean()
    return 1000 * float(aligned), 1000 * float(placed)


def peak_speed(joints: Joints, fps: float = 20.0) -> float:
    """Top speed of either wrist relative to the root, m/s; 0 for a single frame."""
    if len(joints) < 2:
        return 0.0
    wrists = joints[:, list(WRISTS)] - joints[:, :1]
    return float(np.linalg.norm(np.diff(wrists, axis=0), axis=-1).max() * fps)


def train_tokenizer(recipe: TokenizerRecipe) -> dict[str, float]:
    """Train, continue or return a tokenizer run. Raises as `train.fit` does."""
    corpus, facts = open_corpus(recipe.corpus)
    return fit(lambda: TokenizerTask(recipe, corpus), recipe.train, recipe.out, facts)


def load_tokenizer(folder: str | Path) -> tuple[RVQVAE, Normaliser]:
    """Load a tokenizer and its normaliser. Raises CheckpointError for no such run, or weights that do not fit."""
    model, config = load_run(folder, "tokenizer", RVQVAE, RVQVAEConfig, ScaledRun)
    return model.eval(), Normaliser.of_run(config, folder)
