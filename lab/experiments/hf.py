"""`python -m lab hf`: times Mamba models of Hugging Face transformers with and without patch_transformers."""

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from exuvia.config import settings
from exuvia.errors import ConfigError
from exuvia_ssm import patch_transformers
from lab.ledger.numbers import Number, record_numbers


@settings
class HfBench:
    """Sizes of the model and of the batch."""

    batch: int = 2
    """Sequences of a training step."""
    length: int = 256
    """Tokens of a sequence, and of the prompt."""
    width: int = 128
    """Width of the model."""
    layers: int = 2
    """Number of layers."""
    repeats: int = 5
    """Timed runs of each kind, after one that is not counted."""
    seed: int = 0
    """Seed of weights and tokens."""
    record: Path | None = None
    """Ledger to append the numbers to, e.g. docs/results/numbers.jsonl."""


def bench_hf(config: HfBench) -> None:
    """Time a training step and the prefill of a prompt of a random MambaForCausalLM, original and patched in turn.

    Raises:
        ConfigError: transformers is not installed or not supported, or a size is not positive.
        OutputError: the ledger cannot be written.
    """
    if min(config.batch, config.length, config.width, config.layers, config.repeats) < 1:
        raise ConfigError("found a size below 1; expected positive sizes")
    patch_transformers().__exit__(None, None, None)  # refuses a missing or unsuitable version in one sentence
    transformers = import_module("transformers")
    torch.manual_seed(config.seed)
    sizes = {"vocab_size": 256, "hidden_size": config.width, "num_hidden_layers": config.layers}
    model = transformers.MambaForCausalLM(transformers.MambaConfig(**sizes))
    ids = torch.randint(1, 256, (config.batch, config.length))

    def train_step() -> None:
        model.train().zero_grad()
        model(ids, labels=ids).loss.backward()

    def prefill() -> None:
        with torch.no_grad():
            model.eval()(ids[:1], use_cache=True)

    numbers = {}
    for name, action in (("train_step", train_step), ("prefill", prefill)):
        numbers[f"hf.{name}_speedup"] = number = _speedup(action, config.repeats)
        print(f"{name}: {number.value:.1f} times as fast patched [{number.low:.1f}, {number.high:.1f}]")
    record_numbers(config.record, numbers, seed=config.seed)


def _speedup(action: Callable[[], Any], repeats: int) -> Number:
    """Return the median over the rounds of original time / patched time, with the range."""
    ratios = []
    for _ in range(repeats + 1):
        seconds = []
        for context in (nullcontext, patch_transformers):
            with context():
                started = time.perf_counter()
                action()
                seconds.append(time.perf_counter() - started)
        ratios.append(seconds[0] / seconds[1])
    return Number(statistics.median(ratios[1:]), "1", min(ratios[1:]), max(ratios[1:]))
