"""Compares the step sizes of a model with the information of its input, layer by layer."""

from dataclasses import dataclass

import numpy as np
import torch

from lab.selectivity.model import MambaLanguageModel, model_information
from lab.selectivity.relation import Relation, correlations, linear_r2, relate, token_r2
from lab.selectivity.source import Bits, Sample, Source

SKIP = 8
"""First elements of every sequence that are left out: too little is before them."""
MEASURES = ("information", "next_entropy", "model_information", "model_next_entropy")
"""What Delta_l is held against: -log2 p(x_l | x_<l) and H(x_{l+1} | x_<=l), by the source and by the model itself."""


@dataclass(frozen=True)
class LayerFinding:
    """One layer of one model against one measure."""

    source: str
    seed: int
    model: str
    """trained or untrained."""
    layer: int
    """Counted from 1."""
    measure: str
    """One of MEASURES."""
    exact: bool
    """Whether the measure is the source's own, known exactly."""
    delta_mean: float
    delta_std: float
    """Of the mean over channels, along the sequences."""
    token_r2: float
    """Share of Delta's variance that the identity of the token predicts."""
    channels_rising: float
    """Share of the channels whose own Delta rises with the measure."""
    log_r2: float
    """R² of the mean over channels of log Delta against the measure: channels differ by two orders of magnitude."""
    all_channels_r2: float
    """Share of the measure that a linear map of all channels' Delta predicts on other sequences: the widest reading."""
    relation: Relation


@dataclass(frozen=True)
class KindFinding:
    """Mean information and mean Delta of one kind of token in one layer."""

    source: str
    seed: int
    model: str
    layer: int
    kind: str
    share: float
    """Share of the tokens."""
    information: float
    """Mean, bits."""
    delta: float


@dataclass(frozen=True)
class Finding:
    """Everything measured on one model, and one layer's points for a picture."""

    layers: tuple[LayerFinding, ...]
    kinds: tuple[KindFinding, ...]
    information: Bits
    """[N] bits."""
    deltas: tuple[Bits, ...]
    """One [N] a layer: mean over channels."""


def measure_model(
    model: MambaLanguageModel, source: Source, sample: Sample, *, seed: int, trained: bool, resamples: int = 1000
) -> Finding:
    """Compare the step sizes of every layer with every measure.

    Args:
        model: in evaluation mode
        source: where the sample is from
        sample: held-out sequences
        seed: of the run; resampling follows it
        trained: what to call the model
        resamples: of the bootstrap
    """
    name = "trained" if trained else "untrained"
    measures = _measures(model, sample)
    tokens = sample.tokens[:, SKIP:]
    channels = step_sizes(model, sample)
    deltas = [layer.mean(-1, dtype=np.float64) for layer in channels]
    layers: list[LayerFinding] = []
    kinds: list[KindFinding] = []
    for number, (layer, delta) in enumerate(zip(channels, deltas, strict=True), start=1):
        by_token = token_r2(delta, tokens)
        for measure, x in measures.items():
            relation = relate(x, delta, tokens, np.random.default_rng([seed, number]), resamples)
            facts = (source.name, seed, name, number, measure, source.exact and not measure.startswith("model"))
            spread = float(delta.mean()), float(delta.std())
            layers.append(LayerFinding(*facts, *spread, by_token, *_channels(x, layer), relation))
        for kind, label in enumerate(source.kinds):
            where = sample.kinds[:, SKIP:] == kind
            if where.any():
                means = float(where.mean()), float(measures["information"][where].mean()), float(delta[where].mean())
                kinds.append(KindFinding(source.name, seed, name, number, label, *means))
    information = measures["information"].ravel()
    return Finding(tuple(layers), tuple(kinds), information, tuple(delta.ravel() for delta in deltas))


def step_sizes(model: MambaLanguageModel, sample: Sample, at_once: int = 16) -> list[np.ndarray]:
    """Delta of every layer at all but the first elements.   one [B, L - SKIP, E] float32 per layer"""
    device = next(model.parameters()).device
    parts = [model.step_sizes(part.to(device)) for part in torch.from_numpy(sample.tokens).split(at_once)]
    return [torch.cat(layer)[:, SKIP:].float().cpu().numpy() for layer in zip(*parts, strict=True)]


def _measures(model: MambaLanguageModel, sample: Sample) -> dict[str, Bits]:
    found = (sample.information, sample.next_entropy, *model_information(model, sample.tokens))
    return {name: values[:, SKIP:] for name, values in zip(MEASURES, found, strict=True)}


def _channels(x: Bits, layer: np.ndarray) -> tuple[float, float, float]:
    """Share of channels that rise with x, R² of the mean logarithm, R² of a linear map of all of them."""
    once = np.ones((1, len(x)))
    channels = layer.astype(np.float64)
    rising = [correlations(x, channels[..., c], once)[0] > 0 for c in range(channels.shape[-1])]
    logs = np.log(np.maximum(channels, 1e-30)).mean(-1)
    return float(np.mean(rising)), float(correlations(x, logs, once)[0] ** 2), linear_r2(channels, x)
