"""Trains language models of equal size on one text with equal settings and several seeds, and tabulates the results.

A run is a resumable folder `TEXT-VARIANT-seedN`; its `result.json` is a line of the table.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.checkpoint import load_into, load_tensors, provenance
from exuvia.config import to_dict
from exuvia.files import write_json
from exuvia.readers import as_type, read_json
from exuvia.sequence.settings import StackConfig
from exuvia.train import WEIGHTS, TrainConfig, fit, seeded
from lab.budget import planned_steps
from lab.lm.corpus import Corpus
from lab.lm.model import LanguageModel, LanguageModelConfig, NextToken, nats_a_token
from lab.run_settings import check_settings
from lab.speed import Speed, kept_speeds, training_device
from lab.stack import of_equal_size
from lab.variant import Variant, parse_variant, parse_variants


@dataclass(frozen=True)
class Recipe:
    """How every model is built and trained."""

    parameters: int = 400_000
    """Parameters of the stack, without the embedding."""
    layers: int = 3
    length: int = 256
    """Tokens of a training window."""
    batch_size: int = 16
    state: int = 16
    """States per channel of Mamba; S4D has four times as many."""
    heads: int = 4
    dropout: float = 0.0
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(steps=2000, lr=2e-3, warmup=200, weight_decay=0.05, clip_norm=1.0)
    )
    budget_s: float = 0.0
    """Training time in seconds, in place of `train.steps`; 0: use the steps."""
    test_limit: int = 0
    """Maximum number of tokens of the test part, from its start; 0: all."""


@dataclass(frozen=True)
class Result:
    """One trained model."""

    text: str
    variant: str
    seed: int
    width: int
    parameters: int
    """Parameters of the stack."""
    steps: int
    nats: float
    """Mean negative log-likelihood of a test token."""
    perplexity: float
    bits_a_byte: float
    commit: str


def run_text(
    corpus: Corpus, recipe: Recipe, variants: Sequence[str], seeds: Sequence[int], out: Path,
    log: Callable[[str], None] = lambda line: None,
) -> list[Result]:  # fmt: skip
    """Train the missing models, and test all on the whole test text.

    Args:
        corpus: the text
        recipe: sizes and rates
        variants: names as lab/variant.py has them
        seeds: of initial weights and windows
        out: folder of the runs
        log: receives a line when a model is done
    Raises:
        ConfigError: an unknown variant, no seed, or a run of other settings in a folder.
        DataError: a text shorter than a window.
        DivergedError: a loss is no longer a finite number.
    """
    lines = parse_variants(variants, seeds)
    found = []
    for seed in seeds:
        for variant in lines:
            result = _run_one(corpus, recipe, variant, seed, out / f"{corpus.name}-{variant.name}-seed{seed}")
            log(f"{corpus.name} {variant.name} seed {seed}: {result.bits_a_byte:.4f} bits a byte")
            found.append(result)
    return found


def measure_speeds(corpus: Corpus, recipe: Recipe, variants: Sequence[str], out: Path) -> dict[str, Speed]:
    """Measure time and memory of a training step of every model, in turn; cached in `out` for the same models."""

    def task(name: str) -> NextToken:
        return _task(corpus, recipe, model_config(corpus, recipe, parse_variant(name)), 0)

    return kept_speeds(out / f"speed-{corpus.name}.json", variants, task)


def model_config(corpus: Corpus, recipe: Recipe, variant: Variant) -> LanguageModelConfig:
    """The language model of one variant at the recipe's size."""
    first = StackConfig(
        8 * recipe.heads, recipe.layers, variant.mixer, True, recipe.state, recipe.heads, recipe.dropout,
        variant.serpent,
    )  # fmt: skip
    return LanguageModelConfig(of_equal_size(first, recipe.parameters), corpus.vocabulary)


def _task(corpus: Corpus, recipe: Recipe, config: LanguageModelConfig, seed: int) -> NextToken:
    with seeded(seed):
        return NextToken(config, corpus.train, corpus.valid, length=recipe.length, batch_size=recipe.batch_size)


def _run_one(corpus: Corpus, recipe: Recipe, variant: Variant, seed: int, out: Path) -> Result:
    config = model_config(corpus, recipe, variant)
    check_settings(out, {"recipe": to_dict(recipe), "model": to_dict(config), "tokens": len(corpus.train)})
    if (out / "result.json").is_file():
        return as_type(Result, read_json(out / "result.json"), out / "result.json")
    steps = recipe.train.steps
    if recipe.budget_s:
        steps, _ = planned_steps(_task(corpus, recipe, config, 0), steps, recipe.budget_s, out / "plan.json")
    train = replace(recipe.train, steps=steps, seed=recipe.train.seed + seed)
    fit(lambda: _task(corpus, recipe, config, seed), train, out, {"text": corpus.name, "recipe": to_dict(recipe)})
    model = LanguageModel(config)
    load_into(model, load_tensors(out / WEIGHTS), f"the model of {out}")
    model.to(training_device())
    test = corpus.test[: recipe.test_limit] if recipe.test_limit else corpus.test
    nats = nats_a_token(model, test, max(recipe.length, 1024) if model.stack.carries_state else recipe.length)
    result = Result(
        corpus.name, variant.name, seed, config.stack.width, sum(p.numel() for p in model.stack.parameters()),
        steps, nats, math.exp(nats), corpus.bits_a_byte(nats), str(provenance()["commit"]),
    )  # fmt: skip
    write_json(out / "result.json", vars(result))
    return result


def table(results: Sequence[Result], speeds: Mapping[str, Speed]) -> list[dict[str, Any]]:
    """Return a row per variant: means over seeds, and time relative to its backbone."""
    rows = []
    for name in dict.fromkeys(one.variant for one in results):
        same = [one for one in results if one.variant == name]
        base, speed = speeds.get(parse_variant(name).backbone), speeds[name]
        bits = [one.bits_a_byte for one in same]
        rows.append({
            "text": same[0].text, "variant": name, "seeds": len(same), "parameters": same[0].parameters,
            "steps": same[0].steps, "bits_a_byte": float(np.mean(bits)),
            "deviation": float(np.std(bits, ddof=1)) if len(bits) > 1 else None,
            "perplexity": float(np.mean([one.perplexity for one in same])),
            "step_ms": speed.step_ms, "train_s": speed.step_ms * same[0].steps / 1000,
            "times_backbone": speed.fastest_ms / base.fastest_ms if base else None, "kept_mb": speed.kept_mb,
        })  # fmt: skip
    return rows
