"""The whole walk, tiny: synthetic data, every training, pipeline, motion, forgetting; by the commands."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from exuvia import MotionPipeline
from exuvia.__main__ import main
from exuvia.checkpoint import load_tensors
from exuvia.files import sha256_file

TRAIN = ["--train.steps", "4", "--train.warmup", "1", "--train.validate-every", "4", "--train.log-every", "2"]
SMALL = ["--model.num-codes", "32", "--model.code-dim", "8", "--model.text-dim", "64", "--model.width", "16"]
TRUNK = [*SMALL, "--model.inner-width", "16", "--model.num-layers", "1", "--model.num-heads", "2"]
TRUNK = [*TRUNK, "--model.table-length", "64"]


def run(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, all runs and a packed pipeline."""
    home = tmp_path_factory.mktemp("walk")
    run("prepare", "synthetic", home / "store", "--count", 60)
    sizes = ["--model.width", 8, "--model.code-dim", 8, "--model.num-codes", 32, "--model.num-quantizers", 3]
    sizes += ["--model.depth", 1]
    data = ["--corpus.data", home / "store"]
    run("train", "tokenizer", "--out", home / "tokenizer", *data, *sizes, "--batch-size", 8, *TRAIN)
    codes = ["--tokenizer", home / "tokenizer", *data, "--text", "hashed", "--batch-size", 8, *TRAIN]
    run("train", "mask", "--out", home / "mask", *codes, *TRUNK)
    run("train", "residual", "--out", home / "residual", *codes, *TRUNK, "--model.num-quantizers", 3)
    run("train", "length", "--out", home / "length", *codes, "--model.text-dim", 64, "--model.hidden", 16)
    parts = [word for kind in ("tokenizer", "mask", "residual", "length") for word in (f"--{kind}", home / kind)]
    run("checkpoint", "pack", "--out", home / "pipeline", *parts, "--half")
    return home


def test_a_model_of_other_caption_vectors_is_refused_at_once(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = ["--tokenizer", made / "tokenizer", "--corpus.data", made / "store", "--text", "hashed"]
    words = ["train", "mask", "--out", tmp_path / "run", *codes, *TRAIN]
    assert main([str(word) for word in words]) == 2
    assert "found a text_dim of 512" in (told := capsys.readouterr().err)
    assert "add --model.text-dim 64" in told
    assert not list(tmp_path.iterdir())


def test_the_packed_pipeline_generates(made: Path) -> None:
    run("generate", "a person walks forward", "--pipeline", made / "pipeline", "--out", made / "walk.npy")
    joints = np.load(made / "walk.npy")
    assert joints.shape[1:] == (22, 3)
    assert np.isfinite(joints).all()


def test_forgetting_changes_codes_of_a_copy_only(made: Path) -> None:
    before = {path: path.read_bytes() for path in (made / "pipeline").iterdir()}
    run(
        *("unlearn", "lcr", "--pipeline", made / "pipeline", "--forget", "violence", "--data", made / "store"),
        *("--num-codes", 4, "--min-count", 1, "--out", made / "safe"),
    )
    assert {path: path.read_bytes() for path in (made / "pipeline").iterdir()} == before
    original, safe = (MotionPipeline.from_pretrained(made / name) for name in ("pipeline", "safe"))
    edit = safe.provenance["edits"][-1]
    changed = [
        int(code)
        for code in range(32)
        if not np.allclose(
            original.tokenizer.quantizer.level(0).codebook[code], safe.tokenizer.quantizer.level(0).codebook[code]
        )
    ]
    assert changed == edit["replaced"]["0"]
    assert 1 <= len(changed) <= 4


def test_the_pipeline_knows_its_history(made: Path) -> None:
    facts = json.loads((made / "pipeline" / "provenance.json").read_text())
    assert set(facts["parts"]) == {"tokenizer", "base", "residual", "length"}
    assert facts["parts"]["base"]["parent"]
    assert facts["parts"]["tokenizer"]["data"][0]["hash"]


def test_repeating_a_training_command_changes_nothing(made: Path) -> None:
    stamp = (made / "length" / "weights.safetensors").stat().st_mtime_ns
    data = ["--corpus.data", made / "store"]
    codes = ["--tokenizer", made / "tokenizer", *data, "--text", "hashed", "--batch-size", 8, *TRAIN]
    run("train", "length", "--out", made / "length", *codes, "--model.text-dim", 64, "--model.hidden", 16)
    assert (made / "length" / "weights.safetensors").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("kind", ["tokenizer", "mask", "residual", "length"])
def test_a_training_begins_with_the_weights_of_another(
    made: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((made / kind / "config.json").read_text())
    data = ["--corpus.data", made / "store", "--batch-size", 8, "--start", made / kind]
    still = [*TRAIN, "--train.lr", 1e-30, "--train.optimizer", "muon"]
    if kind == "tokenizer":
        words = [*data, "--model.width", 8, "--model.code-dim", 8, "--model.num-codes", 32, "--model.num-quantizers", 3]
        words += ["--model.depth", 1]
    else:
        words = ["--tokenizer", made / "tokenizer", *data, "--text", "hashed"]
        words += ["--model.text-dim", 64, "--model.hidden", 16] if kind == "length" else TRUNK
        words += ["--model.num-quantizers", 3] if kind == "residual" else []
    run("train", kind, "--out", tmp_path / kind, *words, *still)
    first, then = (load_tensors(folder / kind / "weights.safetensors") for folder in (made, tmp_path))
    learnt = [name for name in first if not name.startswith("quantizer")]
    assert all(torch.equal(first[name], then[name]) for name in learnt)
    assert json.loads((tmp_path / kind / "provenance.json").read_text())["start"] == sha256_file(
        made / kind / "weights.safetensors"
    )
    if kind == "tokenizer":
        assert json.loads((tmp_path / kind / "config.json").read_text())["mean"] == config["mean"]
    other = [word if word != 16 else 24 for word in words] if kind == "length" else [*words, "--model.width", 32]
    assert main([str(word) for word in ("train", kind, "--out", tmp_path / "other", *other, *still)]) == 2
    assert f"the {kind}" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
