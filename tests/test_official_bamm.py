"""Published BAMM folders become a pipeline, and what does not fit is refused with a report."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

import exuvia
from exuvia.__main__ import main
from exuvia.errors import CheckpointError, ConfigError
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.published.momask import load_bamm_folders, read_weights
from exuvia.sequence.bamm import BAMM
from exuvia.sequence.length import OwnLength, build_length
from exuvia.text.hashed import HashedText
from official_layout import (
    RESIDUAL,
    TOKENIZER,
    Shapes,
    filled,
    linear,
    norm,
    published_folder,
    trunk_shapes,
    write_checkpoint,
    write_options,
)

SIZES = {"width": 24, "inner": 40, "layers": 2, "text": HashedText().dim, "code": 20}


def decoder_shapes(blocks: str) -> Shapes:
    """Names and shapes of a published decoder with 16 codes."""
    shapes = trunk_shapes(**SIZES, out=17) | {"token_emb.weight": (19, 20)}
    if blocks == "official":
        return shapes
    shapes = {name: shape for name, shape in shapes.items() if not name.startswith("seqTransEncoder")}
    for block in range(2):
        name = f"seqTransEncoder.blocks.{block}"
        for part in ("key", "query", "value", "proj"):
            shapes |= linear(f"{name}.attn.{part}", 24, 24)
        shapes |= norm(f"{name}.ln1", 24) | norm(f"{name}.ln2", 24)
        shapes |= linear(f"{name}.mlp.0", 40, 24) | linear(f"{name}.mlp.2", 24, 40)
    return shapes


@pytest.fixture(params=["official", "t2mgpt"])
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Path]:
    """Decoder, tokenizer and residual transformer."""
    momask, decoder = published_folder(tmp_path / "t2m", HashedText().dim), tmp_path / "log" / "decoder"
    sizes = {"latent_dim": 24, "ff_size": 40, "n_layers": 2, "n_heads": 3, "dropout": 0.2, "cond_drop_prob": 0.1}
    write_options(decoder / "opt.txt", **sizes, trans=request.param, vq_name=TOKENIZER)
    write_checkpoint(decoder / "model/latest.tar", "t2m_transformer", filled(decoder_shapes(request.param), 5))
    return {"decoder": decoder, "tokenizer": momask / TOKENIZER, "residual": momask / RESIDUAL}


def command(folders: dict[str, Path], out: Path) -> list[str]:
    parts = f"--tokenizer {folders['tokenizer']} --residual {folders['residual']} --out {out} --text hashed"
    return f"import bamm {folders['decoder']} {parts}".split()


def test_a_published_generator_becomes_a_pipeline(folders: dict[str, Path], tmp_path: Path) -> None:
    found = load_bamm_folders(**folders)
    stored = read_weights(found.files["mask"], "mask")
    own = found.base.state_dict()
    assert all(own[name].equal(value) for name, value in stored.items() if not name.endswith("pe"))
    assert main(command(folders, tmp_path / "ours")) == 0
    pipe = MotionPipeline.from_pretrained(tmp_path / "ours")
    assert isinstance(pipe.base, BAMM)
    assert isinstance(pipe.length, OwnLength)
    made = pipe.generate(["a man walks", "a man kicks"], seed=[1, 2], max_steps=20)
    assert 5 <= int(made.lengths.min()) <= int(made.lengths.max()) <= 20
    again = MotionPipeline.from_pretrained(pipe.save_pretrained(tmp_path / "again"))
    assert pipeline_hash(again) == pipeline_hash(pipe)
    safe = exuvia.unlearn("uce", pipe, forget="kick")
    assert pipeline_hash(safe) != pipeline_hash(pipe)
    assert main(f"export momask {tmp_path}/ours {tmp_path}/back".split()) == 2


def test_what_does_not_fit_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    options = folders["decoder"] / "opt.txt"
    text = options.read_text()
    options.write_text(text.replace("n_layers: 2", "n_layers: 3"))
    with pytest.raises(CheckpointError, match=r"missing \(seqTransEncoder"):
        load_bamm_folders(**folders)
    options.write_text(text.replace("trans: ", "trans: x"))
    with pytest.raises(CheckpointError, match="unknown blocks"):
        load_bamm_folders(**folders)
    options.unlink()
    with pytest.raises(CheckpointError, match=r"opt\.txt does not exist"):
        load_bamm_folders(**folders)
    assert main(command(folders, tmp_path / "ours")) == 2
    assert not (tmp_path / "ours").exists()


class Malicious:
    """Runs a command when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_nothing_in_a_file_is_executed(folders: dict[str, Path], tmp_path: Path) -> None:
    torch.save({"t2m_transformer": {}, "more": Malicious(tmp_path / "done")}, folders["decoder"] / "model/latest.tar")
    with pytest.raises(CheckpointError, match="pickled object"):
        load_bamm_folders(**folders)
    assert not (tmp_path / "done").exists()


def test_a_generator_without_an_estimator_says_so() -> None:
    with pytest.raises(ConfigError, match="no length estimator"):
        build_length({"kind": "own"}).sample(torch.zeros(1, 4))
