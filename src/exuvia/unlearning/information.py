"""Information of every code step of a clip, as weights for counting codes, from an autoregressive generator.

    intervals   its learned intervals: the mean over layers of Delta_l, divided by the clip's mean Delta
    surprisal   -log p(c_l | c_1 .. c_{l-1}) without a caption, divided by the clip's mean
    shuffled    the intervals in random order within the clip, as a control

Weights have mean 1 in every clip: all clips count the same. According to the paper, intervals follow surprisal
[rando2025serpent]; `python -m lab selectivity` measures how closely.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exuvia.checkpoint import load_run
from exuvia.codes.statistics import PackedCodes
from exuvia.errors import ConfigError
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.sequence.causal import CausalGenerator
from exuvia.sequence.intervals import learned_intervals
from exuvia.sequence.settings import CausalConfig
from exuvia.unlearning.settings import Measure

OWN = "own"
"""Stands for the pipeline's own generator of base codes instead of a folder."""
BATCH = 32


def load_information_model(where: str, pipe: MotionPipeline) -> CausalGenerator:
    """Load the model that weighs codes: a run of `exuvia train causal`, or the pipeline's own generator.
    Raises CheckpointError for no such run, ConfigError if the generator is not autoregressive or the codebook has
    another size."""
    model = pipe.base if where == OWN else load_run(where, "causal", CausalGenerator, CausalConfig)[0]
    if not isinstance(model, CausalGenerator):
        raise ConfigError(
            "this generator's base codes do not come from an autoregressive state-space model; name the folder of a "
            "run of `exuvia train causal` on the same tokenizer"
        )
    if model.config.num_codes != pipe.tokenizer.config.num_codes:
        sizes = f"{model.config.num_codes} codes in {where}, {pipe.tokenizer.config.num_codes} in the tokenizer"
        raise ConfigError(f"found {sizes}; expected a run on the same tokenizer")
    return model.eval()


def information_weights(codes: PackedCodes, model: CausalGenerator, measure: Measure) -> NDArray[np.float64]:
    """Weights of all steps [sum of T] in the order of `codes.codes`, with mean 1 in each clip; the model reads the base
    codes of a clip from the first, without a caption. Raises ConfigError for a model without learned intervals."""
    weights = np.ones(len(codes.codes))
    order = np.argsort(np.diff(codes.offsets), kind="stable")
    for low in range(0, len(order), BATCH):
        rows = [int(n) for n in order[low : low + BATCH] if len(codes[int(n)])]
        if not rows:
            continue
        clips = [torch.from_numpy(codes[n][:, 0].astype(np.int64)) for n in rows]
        lengths = torch.tensor([len(clip) for clip in clips])
        padded = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=model.pad_id)
        information = _information(model, padded, lengths, measure).double().numpy()
        for row, n in enumerate(rows):
            values = information[row, : lengths[row]]
            if measure == "shuffled":
                values = np.random.default_rng(n).permutation(values)
            weights[codes.offsets[n] : codes.offsets[n + 1]] = values / max(float(values.mean()), 1e-12)
    return weights


@torch.no_grad()
def _information(model: CausalGenerator, padded: Tensor, lengths: Tensor, measure: Measure) -> Tensor:
    """Information of every code of a batch [B, T], in any unit; values at padding are arbitrary."""
    ids = torch.nn.functional.pad(padded, (1, 0), value=model.end_id)
    valid = torch.arange(ids.shape[1])[None] <= lengths[:, None]
    cond, drop = torch.zeros(len(ids), model.config.text_dim), torch.ones(len(ids), dtype=torch.bool)
    if measure == "surprisal":
        logits = model.logits(ids, cond, valid, None, drop)[..., :-1].float()
        nats = -logits.log_softmax(1)
        return nats.gather(1, padded.clamp(max=model.end_id)[:, None])[:, 0]
    layers = learned_intervals(model, lambda: model.logits(ids, cond, valid, None, drop))
    inside = torch.arange(padded.shape[1])[None] < lengths[:, None]
    total = torch.zeros(padded.shape)
    for layer in layers:
        steps = layer[:, 2:].float() * inside  # skip the caption and the start
        total += steps * lengths[:, None] / steps.sum(1, keepdim=True).clamp(min=1e-12)
    return total / len(layers)
