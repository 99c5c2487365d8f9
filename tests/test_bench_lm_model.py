"""Language models: every token counts once, state-space models read on, and they learn."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from exuvia.errors import ConfigError, DataError, ShapeError
from exuvia.sequence.settings import StackConfig
from exuvia.train import TrainConfig, fit
from lab.lm.corpus import Corpus
from lab.lm.model import LanguageModel, LanguageModelConfig, NextToken, nats_a_token
from lab.lm.run import Recipe, run_text
from lab.variant import NAMES, parse_variant


def model(mixer: str, vocabulary: int = 7) -> LanguageModel:
    torch.manual_seed(0)
    made = parse_variant(mixer)
    return LanguageModel(
        LanguageModelConfig(StackConfig(16, 2, made.mixer, state=4, serpent=made.serpent), vocabulary)
    ).eval()


TEXT = np.random.default_rng(0).integers(0, 7, 100)


@pytest.mark.parametrize("mixer", NAMES)
def test_in_one_window_it_is_the_plain_cross_entropy(mixer: str) -> None:
    net, whole = model(mixer), torch.from_numpy(TEXT)
    expected = cross_entropy(net(whole[None, :-1])[0], whole[1:]).item()
    assert nats_a_token(net, TEXT, 200) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mixer", [m for m in NAMES if m != "transformer"])
def test_windows_of_any_length_give_a_state_space_model_the_same(mixer: str) -> None:
    net = model(mixer)
    whole = nats_a_token(net, TEXT, 200)
    for length in (1, 7, 33):
        assert nats_a_token(net, TEXT, length) == pytest.approx(whole, rel=1e-4)


def test_attention_counts_every_token_once() -> None:
    class Counting(torch.nn.Module):
        """Finds all tokens equally likely, so that a mean other than log 7 is a wrong count."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.stack = type("S", (), {"carries_state": False})()

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return torch.zeros(*tokens.shape, 7)

    net = Counting()
    for count, length in ((100, 16), (17, 16), (2, 16), (40, 3)):
        assert nats_a_token(net, TEXT[:count], length) == pytest.approx(np.log(7), rel=1e-5)  # type: ignore[arg-type]


def test_batches_are_text_and_a_short_text_is_refused() -> None:
    config = LanguageModelConfig(StackConfig(16, 1, state=4), 200)
    text = np.arange(150)
    task = NextToken(config, text, text, length=20, batch_size=5)
    rows = task.batch(0, np.random.default_rng(0))["tokens"]
    assert rows.shape == (5, 21)
    assert (rows.diff(dim=1) == 1).all()
    with pytest.raises(DataError, match="a window of 500"):
        NextToken(config, text, text, length=500)
    with pytest.raises(DataError, match="found 1 tokens"):
        nats_a_token(task.model, text[:1], 8)


def test_it_learns_a_cycle(tmp_path: Path) -> None:
    text = np.tile(np.arange(5), 200)
    task = NextToken(LanguageModelConfig(StackConfig(16, 1, state=4), 5), text, text[:300], length=24, batch_size=8)
    found = fit(lambda: task, TrainConfig(steps=80, lr=2e-2, warmup=5), tmp_path / "run")
    assert found["val/bits"] < 0.3


def test_bad_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="causal=True"):
        LanguageModelConfig(StackConfig(16, causal=False), 5)
    with pytest.raises(ConfigError, match="vocabulary of 1"):
        LanguageModelConfig(StackConfig(16), 1)
    with pytest.raises(ShapeError, match=r"expected \[B, L\]"):
        model("mamba")(torch.zeros(4, dtype=torch.long))


def test_a_run_is_one_table_and_resumes(tmp_path: Path) -> None:
    text = np.tile(np.arange(5, dtype=np.int32), 300)
    corpus = Corpus("cycle", text, text[:200], text[:300], 5, bytes_a_token=2.0)
    recipe = Recipe(4000, 1, 24, 8, state=4, train=TrainConfig(steps=60, lr=2e-2, warmup=5))
    lines: list[str] = []
    found = run_text(corpus, recipe, ["mamba", "serpent-s4d"], [0], tmp_path, lines.append)
    assert len(lines) == len(found) == 2
    for one in found:
        assert one.perplexity == pytest.approx(np.exp(one.nats))
        assert one.bits_a_byte == pytest.approx(one.nats / np.log(2) / 2)
        assert one.perplexity < 5
    assert run_text(corpus, recipe, ["mamba", "serpent-s4d"], [0], tmp_path) == found
    with pytest.raises(ConfigError, match="did you mean 'mamba'"):
        run_text(corpus, recipe, ["mambo"], [0], tmp_path)
