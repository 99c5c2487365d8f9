"""How much every code step of a clip tells: weights for counting, from an autoregressive generator of the same codes.

    intervals   its learned intervals at the step: the mean over layers of Delta_l over the clip's mean Delta
    surprisal   -log p(c_l | c_1 .. c_{l-1}) without a caption, over the clip's mean
    shuffled    the intervals of the clip at other steps of it, drawn at random: the control

Each has mean 1 in every clip, so that a clip counts as much as any other. The paper says that the first follows the
second [rando2025serpent]; `python -m lab selectivity` measures how closely.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exuvia.checkpoint import Run, built, load_tensors, read_config
from exuvia.codes.statistics import PackedCodes
from exuvia.errors import ConfigError
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.sequence.causal import CausalGenerator
from exuvia.sequence.generators import build_generator
from exuvia.sequence.intervals import learned_intervals
from exuvia.train import WEIGHTS
from exuvia.unlearning.settings import Measure

OWN = "own"
"""In place of a folder: the generator's own model of base codes."""
BATCH = 32


def load_informant(where: str, pipe: MotionPipeline) -> CausalGenerator:
    """The model that weighs codes: of a run of `exuvia train causal`, or the pipeline's own.

    Raises:
        CheckpointError: no such run.
        ConfigError: the pipeline has no autoregressive generator, or the run's codebook has another size.
    """
    if where == OWN:
        model = pipe.base
    else:
        about = read_config(Path(where), "causal", holds=Run)
        weights, sizes = load_tensors(Path(where) / WEIGHTS), {"kind": "causal", **about["model"]}
        model = built(lambda: build_generator(sizes), weights, f"the generator of {where}")
    if not isinstance(model, CausalGenerator):
        raise ConfigError(
            "this generator's base codes are not written by an autoregressive state-space model; name the folder of a "
            "run of `exuvia train causal` on the same tokenizer"
        )
    if model.config.num_codes != pipe.tokenizer.config.num_codes:
        found = f"{model.config.num_codes} codes in {where}, {pipe.tokenizer.config.num_codes} in the tokenizer"
        raise ConfigError(f"found {found}; expected a run on the same tokenizer")
    return model.eval()


def information_weights(codes: PackedCodes, model: CausalGenerator, measure: Measure) -> NDArray[np.float64]:
    """A weight for every step of every clip, with mean 1 over each clip.

    Args:
        codes: the clips; their base codes are read
        model: reads each clip from its first code on, without a caption
        measure: intervals, surprisal or shuffled
    Returns:
        [sum of T], in the order of `codes.codes`
    Raises:
        ConfigError: a model without learned intervals.
    """
    found = np.ones(len(codes.codes))
    order = np.argsort(np.diff(codes.offsets), kind="stable")
    for low in range(0, len(order), BATCH):
        rows = [int(n) for n in order[low : low + BATCH] if len(codes[int(n)])]
        if not rows:
            continue
        clips = [torch.from_numpy(codes[n][:, 0].astype(np.int64)) for n in rows]
        lengths = torch.tensor([len(clip) for clip in clips])
        padded = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=model.pad_id)
        told = _told(model, padded, lengths, measure).double().numpy()
        for row, n in enumerate(rows):
            mine = told[row, : lengths[row]]
            if measure == "shuffled":
                mine = np.random.default_rng(n).permutation(mine)
            found[codes.offsets[n] : codes.offsets[n + 1]] = mine / max(float(mine.mean()), 1e-12)
    return found


@torch.no_grad()
def _told(model: CausalGenerator, padded: Tensor, lengths: Tensor, measure: Measure) -> Tensor:
    """What every code of a batch [B, T] tells, in any unit; padding holds values without meaning."""
    ids = torch.nn.functional.pad(padded, (1, 0), value=model.end_id)
    valid = torch.arange(ids.shape[1])[None] <= lengths[:, None]
    cond, nobody = torch.zeros(len(ids), model.config.text_dim), torch.ones(len(ids), dtype=torch.bool)
    if measure == "surprisal":
        logits = model.logits(ids, cond, valid, None, nobody)[..., :-1].float()
        nats = -logits.log_softmax(1)
        return nats.gather(1, padded.clamp(max=model.end_id)[:, None])[:, 0]
    layers = learned_intervals(model, lambda: model.logits(ids, cond, valid, None, nobody))
    inside = torch.arange(padded.shape[1])[None] < lengths[:, None]
    total = torch.zeros(padded.shape)
    for layer in layers:
        steps = layer[:, 2:].float() * inside  # the caption and the start come before the first code
        total += steps * lengths[:, None] / steps.sum(1, keepdim=True).clamp(min=1e-12)
    return total / len(layers)
