"""Generators that end by themselves, in a pipeline: lengths, saving, every unlearning method, training, packing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import exuvia
from exuvia.__main__ import main
from exuvia.checkpoint import read_config
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import CheckpointError, ConfigError
from exuvia.files import write_json
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.readers import read_json
from exuvia.sequence.bamm import BAMM
from exuvia.sequence.causal import CausalGenerator
from exuvia.sequence.generators import build_generator, describe_generator
from exuvia.sequence.settings import Backbone, BAMMConfig, CausalConfig, SerpentSettings
from tiny import CODES, tiny_pipeline

FEW = {"steps": 4, "batch_size": 8, "lr": 1e-3, "warmup": 1, "precision": "no"}


@pytest.fixture(scope="module", params=["bamm", "causal"])
def pipe(request: pytest.FixtureRequest) -> MotionPipeline:
    """A tiny generator whose base codes BAMM or a causal state-space model writes."""
    made = tiny_pipeline()
    shared = {name: getattr(made.base.config, name) for name in ("code_dim", "width", "text_dim")}
    sizes: dict[str, Any] = {"num_codes": CODES, "num_layers": 1, **shared}
    model: BAMM | CausalGenerator = BAMM(BAMMConfig(inner_width=16, num_heads=2, table_length=64, **sizes), seed=1)
    if request.param == "causal":
        model = CausalGenerator(
            CausalConfig(backbone=Backbone("serpent", SerpentSettings(over="s4d")), **sizes), seed=1
        )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and not (request.param == "causal" and name.startswith("seqTransEncoder")):
                parameter.mul_(10)
    made.base = model.eval().requires_grad_(False)
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Synthetic motion, a third of it violent."""
    return prepare("synthetic", tmp_path_factory.mktemp("bamm") / "store", count=80)


def test_it_finds_its_own_lengths(pipe: MotionPipeline) -> None:
    prompts = [f"a person {verb}" for verb in ("walks", "kicks", "sits", "jumps", "turns", "waves")]
    made = pipe.generate(prompts, seed=list(range(6)), min_steps=3, max_steps=30)
    assert made.lengths.min() >= 3
    assert made.lengths.max() <= 30
    assert len(set(made.lengths.tolist())) > 1
    for clip, steps, codes in zip(made.clips, made.lengths.tolist(), made.codes, strict=True):
        assert len(clip.joints) == 4 * steps
        assert (codes[:steps, 0] >= 0).all()
        assert (codes[steps:] == -1).all()
    alone = pipe(prompts[3], seed=3, min_steps=3, max_steps=30)
    assert np.array_equal(alone.joints, made.clips[3].joints)
    assert pipe(prompts[0], frames=40).joints.shape == (40, 22, 3)


def test_it_is_saved_and_loaded(pipe: MotionPipeline, tmp_path: Path) -> None:
    loaded = MotionPipeline.from_pretrained(pipe.save_pretrained(tmp_path / "bamm"))
    assert type(loaded.base) is type(pipe.base)
    assert pipeline_hash(loaded) == pipeline_hash(pipe)
    config = read_json(tmp_path / "bamm" / "config.json")
    kind = config["base"]["kind"]
    config["base"]["kind"] = kind[:-1]
    write_json(tmp_path / "bamm" / "config.json", config)
    with pytest.raises(ConfigError, match=f"did you mean '{kind}'"):
        MotionPipeline.from_pretrained(tmp_path / "bamm")
    again = build_generator(describe_generator(pipe.base))
    assert again.config == pipe.base.config


@pytest.mark.parametrize("method", ["uce", "rece", "lcr", "esd", "negation", "finetune", "prompt_filter"])
def test_every_method_edits_it(pipe: MotionPipeline, store: Store, method: str, tmp_path: Path) -> None:
    before = pipeline_hash(pipe)
    more = {"tune": FEW} if method in ("esd", "negation", "finetune") else {}
    safe = exuvia.unlearn(method, pipe, data=store, forget="kick", **more)
    assert pipeline_hash(pipe) == before != pipeline_hash(safe)
    assert type(safe.base) is type(pipe.base)
    loaded = MotionPipeline.from_pretrained(safe.save_pretrained(tmp_path / "safe"))
    assert pipeline_hash(loaded) == pipeline_hash(safe)
    prompt = "a person kicks with the left leg"
    assert loaded(prompt, seed=1, frames=40).joints == pytest.approx(safe(prompt, seed=1, frames=40).joints)


def test_training_and_packing(tmp_path: Path, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    few = "--train.steps 2 --train.warmup 1 --train.validate-every 2 --batch-size 4 --text hashed"
    codes = f"--tokenizer {tmp_path}/tokenizer --corpus.data {store.folder} {few} --max-steps 10"
    sizes = "--model.code-dim 8 --model.width 16 --model.num-layers 1"
    heads = "--model.inner-width 16 --model.num-heads 2"
    small = f"--model.num-codes {CODES} --model.text-dim 64 {sizes}"
    tokenizer = f"--model.num-codes {CODES} --model.code-dim 8 --model.width 8 --model.depth 1 --model.num-quantizers 3"
    train = "--train.steps 2 --train.warmup 1 --train.validate-every 2 --batch-size 4"
    assert (
        main(f"train tokenizer --out {tmp_path}/tokenizer --corpus.data {store.folder} {tokenizer} {train}".split())
        == 0
    )
    text = exuvia.registry.resolve(exuvia.registry.TEXT_ENCODER, "hashed", "text encoder")()
    small = small.replace("text-dim 64", f"text-dim {text.dim}")
    assert main(f"train bamm --out {tmp_path}/bamm {codes} {small} {heads} --model.blocks t2mgpt".split()) == 0
    assert main(f"train causal --out {tmp_path}/causal {codes} {small} --model.backbone.mixer serpent".split()) == 0
    residual = f"{small} {heads} --model.num-quantizers 3"
    assert main(f"train residual --out {tmp_path}/residual {codes} {residual}".split()) == 0
    assert main(f"train length --out {tmp_path}/length {codes} --model.text-dim {text.dim}".split()) == 0
    parts = " ".join(f"--{part} {tmp_path}/{part}" for part in ("tokenizer", "residual", "length"))
    assert main(f"checkpoint pack {parts} --mask {tmp_path}/bamm --out {tmp_path}/packed".split()) == 0
    packed = MotionPipeline.from_pretrained(tmp_path / "packed")
    assert isinstance(packed.base, BAMM)
    assert packed.base.config.blocks == "t2mgpt"
    assert packed("a person walks", seed=0).joints.shape[1:] == (22, 3)
    assert main(f"checkpoint pack {parts} --mask {tmp_path}/causal --out {tmp_path}/other".split()) == 0
    other = MotionPipeline.from_pretrained(tmp_path / "other")
    assert isinstance(other.base, CausalGenerator)
    assert other.base.config.backbone == Backbone("serpent")
    assert other("a person walks", seed=0).joints.shape[1:] == (22, 3)
    with pytest.raises(CheckpointError, match="expected 'mask' or 'bamm'"):
        read_config(tmp_path / "residual", "mask", "bamm")
