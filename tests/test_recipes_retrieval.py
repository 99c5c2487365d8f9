"""Trainings of generators that a judge watches: retrieval is measured, and the best weights are kept."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from exuvia.data.prepare import prepare
from exuvia.data.settings import CorpusConfig
from exuvia.errors import ConfigError
from exuvia.judges.settings import EvaluatorConfig, GuoConfig
from exuvia.recipes.generator import train_part
from exuvia.recipes.judges import train_judge
from exuvia.recipes.settings import EvaluatorRecipe, MaskRecipe, TokenizerRecipe
from exuvia.recipes.tokenizer import train_tokenizer
from exuvia.sequence.settings import MaskTransformerConfig
from exuvia.text.hashed import HashedText
from exuvia.tokens.settings import RVQVAEConfig
from exuvia.train import TrainConfig

SHORT = TrainConfig(steps=2, warmup=1, validate_every=1)
TINY = GuoConfig(movement_hidden=16, movement_dim=16, motion_hidden=16, text_hidden=16, embedding=16)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, a tokenizer and an evaluator."""
    folder = tmp_path_factory.mktemp("runs")
    prepare("synthetic", folder / "store", count=360, mirror=False)
    sizes = RVQVAEConfig(num_codes=16, code_dim=16, num_quantizers=2, width=8, depth=1)
    train_tokenizer(TokenizerRecipe(out=str(folder / "tokenizer"), corpus=corpus(folder), model=sizes, train=SHORT))
    task = EvaluatorConfig(model=TINY, batch_size=8)
    train_judge(EvaluatorRecipe(out=str(folder / "judge"), corpus=corpus(folder), task=task, train=SHORT))
    return folder


def corpus(runs: Path) -> CorpusConfig:
    return CorpusConfig(data=(str(runs / "store"),))


def recipe(runs: Path, name: str, train: TrainConfig) -> MaskRecipe:
    sizes = MaskTransformerConfig(
        num_codes=16,
        code_dim=16,
        text_dim=HashedText().dim,
        width=16,
        inner_width=16,
        num_layers=1,
        num_heads=2,
        text_positions=64,
    )
    return MaskRecipe(
        out=str(runs / name), tokenizer=str(runs / "tokenizer"), judge=str(runs / "judge"), corpus=corpus(runs),
        text="hashed", model=sizes, train=train,
    )  # fmt: skip


def test_a_watched_training_reports_retrieval_and_keeps_its_best_weights(runs: Path) -> None:
    found = train_part(recipe(runs, "mask", TrainConfig(steps=3, warmup=1, validate_every=1, best="r3")))
    lines = [json.loads(line) for line in (runs / "mask" / "metrics.jsonl").read_text().splitlines()]
    shares = [line["val/r3"] for line in lines if "val/r3" in line]
    assert len(shares) == 3
    assert found["val/r3"] == max(shares)
    assert all(0 < share <= 1 for share in shares)  # chance: 3 of 32


def test_too_few_captions_for_a_judge_are_counted(runs: Path, tmp_path: Path) -> None:
    prepare("synthetic", tmp_path / "few", count=30, mirror=False)
    few = replace(recipe(runs, "few", SHORT), corpus=CorpusConfig(data=(str(tmp_path / "few"),)))
    with pytest.raises(ConfigError, match="captions of held-out clips, expected at least 32"):
        train_part(few)
