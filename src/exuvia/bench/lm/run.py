"""Language models of equal size, trained alike on one text, several seeds each: one tidy table.

A run is a folder `TEXT-MIXER-seedN`, resumable as every training is; `result.json` in it is a line of the table.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from exuvia.bench.budget import planned_steps
from exuvia.bench.lm.corpus import Corpus
from exuvia.bench.lm.model import LanguageModel, LanguageModelConfig, NextToken, nats_a_token
from exuvia.checkpoint import load_into, load_tensors, provenance
from exuvia.config import to_dict
from exuvia.errors import ConfigError
from exuvia.files import read_json, write_json
from exuvia.registry import suggest
from exuvia.sequence.stack import MIXER, StackConfig, of_equal_size
from exuvia.train import WEIGHTS, TrainConfig, fit


@dataclass(frozen=True)
class Recipe:
    """How every model is built and trained."""

    parameters: int = 400_000
    """Of the stack, without the embedding."""
    layers: int = 3
    length: int = 256
    """Tokens of a training window."""
    batch_size: int = 16
    state: int = 16
    """States a channel of Mamba; S4D has four times as many."""
    heads: int = 4
    dropout: float = 0.0
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(steps=2000, lr=2e-3, warmup=200, weight_decay=0.05, clip_norm=1.0)
    )
    budget_s: float = 0.0
    """Seconds of training in place of `train.steps`; 0: the steps count."""
    test_limit: int = 0
    """At most so many tokens of the test part, the first ones; 0: all."""


@dataclass(frozen=True)
class Result:
    """One trained model."""

    text: str
    mixer: str
    seed: int
    width: int
    parameters: int
    """Of the stack."""
    steps: int
    step_ms: float
    train_s: float
    nats: float
    """Mean negative log-likelihood of a test token."""
    perplexity: float
    bits_a_byte: float
    commit: str


def run_text(
    corpus: Corpus, recipe: Recipe, mixers: Sequence[str], seeds: Sequence[int], out: Path,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Result]:  # fmt: skip
    """Train what is not trained yet, and test everything on the whole test text.

    Raises:
        ConfigError: an unknown mixer, no seed, or a run of other settings in a folder.
        DataError: a text shorter than a window.
        DivergedError: a loss is no longer a finite number.
    """
    for mixer in mixers:
        if mixer not in MIXER:
            raise ConfigError(f"unknown mixer {mixer!r}; {suggest(mixer, MIXER)}")
    if not seeds or not mixers:
        raise ConfigError("found no seed or no mixer, expected at least one of each")
    found = []
    for seed in seeds:
        for mixer in mixers:
            result = _run_one(corpus, recipe, mixer, seed, out / f"{corpus.name}-{mixer}-seed{seed}")
            tell(f"{corpus.name} {mixer} seed {seed}: {result.bits_a_byte:.4f} bits a byte after {result.steps} steps")
            found.append(result)
    return found


def model_config(corpus: Corpus, recipe: Recipe, mixer: str) -> LanguageModelConfig:
    """The language model of one mixer at the recipe's size."""
    first = StackConfig(8 * recipe.heads, recipe.layers, mixer, True, recipe.state, recipe.heads, recipe.dropout)
    return LanguageModelConfig(of_equal_size(first, recipe.parameters), corpus.vocabulary)


def _run_one(corpus: Corpus, recipe: Recipe, mixer: str, seed: int, out: Path) -> Result:
    if (out / "result.json").is_file():
        return Result(**read_json(out / "result.json"))
    config = model_config(corpus, recipe, mixer)

    def task(seed: int) -> NextToken:
        made = NextToken(config, corpus.train, corpus.valid, length=recipe.length, batch_size=recipe.batch_size)
        torch.manual_seed(seed)
        made.model = LanguageModel(config)
        return made

    steps, step_ms = planned_steps(task(0), recipe.train.steps, recipe.budget_s, out / "plan.json")
    train = replace(recipe.train, steps=steps, seed=recipe.train.seed + seed)
    learning = task(seed)
    fit(learning, train, out, {"text": corpus.name, "recipe": to_dict(recipe)})
    model = LanguageModel(config)
    load_into(model, load_tensors(out / WEIGHTS), f"the model of {out}")
    model.to(next(learning.model.parameters()).device)
    test = corpus.test[: recipe.test_limit] if recipe.test_limit else corpus.test
    nats = nats_a_token(model, test, max(recipe.length, 1024) if model.stack.carries_state else recipe.length)
    result = Result(
        corpus.name, mixer, seed, config.stack.width, sum(p.numel() for p in model.stack.parameters()), steps, step_ms,
        step_ms * steps / 1000, nats, math.exp(nats), corpus.bits_a_byte(nats), str(provenance()["commit"]),
    )  # fmt: skip
    write_json(out / "result.json", vars(result))
    return result
