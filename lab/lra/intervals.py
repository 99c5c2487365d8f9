"""What a trained SeRpEnt classifier keeps: its intervals and selected elements on test inputs, by kind of step.

An element with a long interval Delta_l brings the running time to the next grid time sooner: it is more often selected,
and takes more of the shortened sequence. `kept` of a kind is the rate at which its steps are selected over that of all
steps: 1 says that resampling makes no difference between kinds, as with uniform intervals.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exuvia.errors import ConfigError
from exuvia.registry import suggest
from exuvia.sequence.trunk import evaluating
from exuvia_ssm import Resampling
from lab.lra import listops, probes
from lab.lra.model import SequenceClassifier
from lab.resamplings import resamplings

Kinds = NDArray[np.str_]
EDGE_SHARE = 0.2
"""The fifth of a picture's pixels that differ most from their neighbours are its edges."""
CURVE = 0.25
"""Of a Pathfinder picture's brightest pixel: what is brighter is drawn."""


@torch.no_grad()
def layer_intervals(model: SequenceClassifier, x: Tensor, valid: Tensor | None = None) -> list[tuple[Resampling, ...]]:
    """How every SeRpEnt layer resamples a batch, layer by layer.

    Args:
        model: a classifier; it is put into evaluation mode meanwhile
        x: tokens int64 or numbers float [B, L]
        valid: real steps bool [B, L]; None = all
    Raises:
        ConfigError: no layer resamples.
    """
    with evaluating(model):
        return resamplings(model, lambda: model(x, valid))


@dataclass(frozen=True)
class Kept:
    """One kind of steps in one branch of one layer."""

    layer: int
    rate: float
    kind: str
    share: float
    """Share of all real steps."""
    interval: float
    """Mean Delta of this kind over the mean of all."""
    kept: float
    """Share of its steps that are selected over that of all."""


def kept_by_kind(
    task: str, model: SequenceClassifier, x: Tensor, valid: Tensor | None = None, side: int = 0
) -> list[Kept]:
    """Interval and selection by kind of step, for every layer and branch.

    Args:
        task: a key of KINDS
        model: a classifier of it with SeRpEnt layers
        x, valid: test inputs [B, L]
        side: of pictures
    """
    kinds = kinds_of(task, x, side)
    real = np.ones(x.shape, bool) if valid is None else valid.cpu().numpy()
    rows = []
    for number, branches in enumerate(layer_intervals(model, x, valid)):
        for branch in branches:
            steps, selected = branch.steps.cpu().numpy(), branch.selected.cpu().numpy()
            for kind in dict.fromkeys(sorted(set(kinds[real].tolist()))):
                here = real & (kinds == kind)
                rows.append(Kept(
                    number, branch.rate, kind, float(here.sum() / real.sum()),
                    float(steps[here].mean() / steps[real].mean()),
                    float(selected[here].mean() / max(selected[real].mean(), 1e-12)),
                ))  # fmt: skip
    return rows


def kinds_of(task: str, x: Tensor, side: int = 0) -> Kinds:
    """A name for every step of the inputs [B, L]. Raises ConfigError for a task without kinds."""
    if task not in KINDS:
        raise ConfigError(f"steps of {task!r} have no kinds; {suggest(task, KINDS)}")
    return KINDS[task](x.cpu().numpy(), side)


def _listops(x: NDArray[np.int64], side: int) -> Kinds:
    return np.where(x >= listops.END, "end", np.where(x >= listops.OPERATOR, "operator", "digit"))


def _text(x: NDArray[np.int64], side: int) -> Kinds:
    codes = x - 1  # a byte b is token b + 1
    letter = np.isin(codes, [*range(65, 91), *range(97, 123)]) | (codes >= 128)
    before = np.concatenate([np.zeros_like(letter[:, :1]), letter[:, :-1]], axis=1)
    other = np.where(codes == 32, "blank", "punctuation")
    return np.where(letter & ~before, "first letter", np.where(letter, "letter", other))


def _edges(x: NDArray[np.float32], side: int) -> Kinds:
    pictures = x.reshape(len(x), side, side)
    strength = np.hypot(np.gradient(pictures, axis=1), np.gradient(pictures, axis=2)).reshape(x.shape)
    limit = np.quantile(strength, 1 - EDGE_SHARE, axis=1, keepdims=True)
    return np.where(strength > limit, "edge", "flat")


def _pathfinder(x: NDArray[np.float32], side: int) -> Kinds:
    """Markers, drawn as discs, are the bright pixels all of whose neighbours are bright too; curves are thin."""
    bright = (x - x.min(1, keepdims=True)) / np.ptp(x, axis=1, keepdims=True)
    drawn = (bright > CURVE).reshape(len(x), side, side)
    padded = np.pad(drawn, ((0, 0), (1, 1), (1, 1)))
    near = sum(padded[:, 1 + a : 1 + a + side, 1 + b : 1 + b + side] for a in (-1, 0, 1) for b in (-1, 0, 1))
    disc = drawn & (np.asarray(near) >= 8)
    return np.where(disc.reshape(x.shape), "marker", np.where(drawn.reshape(x.shape), "curve", "ground"))


def _induction(x: NDArray[np.int64], side: int) -> Kinds:
    mark = x == probes.MARK
    after = np.concatenate([np.zeros_like(mark[:, :1]), mark[:, :-1]], axis=1)
    return np.where(mark, "mark", np.where(after, "answer", "letter"))


def _copying(x: NDArray[np.int64], side: int) -> Kinds:
    return np.where(x == probes.BLANK, "blank", np.where(x > probes.BLANK, "question", "letter"))


KINDS: dict[str, Callable[[NDArray, int], Kinds]] = {
    "listops": _listops,
    "text": _text,
    "image": _edges,
    "pathfinder": _pathfinder,
    "induction": _induction,
    "copying": _copying,
}
"""What steps are called, by task."""
