"""Packing: run folders of the parts become the pipeline that they were, and parts that do not fit are refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tiny
from exuvia.__main__ import main
from exuvia.checkpoint import save_tensors, write_config
from exuvia.commands.import_published import ImportMomaskConfig, import_momask
from exuvia.commands.pack import PackConfig, pack
from exuvia.config import to_dict
from exuvia.errors import CheckpointError, ConfigError
from exuvia.files import sha256_file, write_json
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.published.momask import Official
from exuvia.readers import read_json

PARTS = ("tokenizer", "mask", "residual", "length")


@pytest.fixture(scope="module")
def pipe() -> MotionPipeline:
    """The generator that the run folders hold."""
    return tiny.tiny_pipeline()


@pytest.fixture
def runs(pipe: MotionPipeline, tmp_path: Path) -> dict[str, Path]:
    """A finished run folder of every part."""
    folders = {kind: tmp_path / kind for kind in PARTS}
    text = {"text": "hashed", "text_fingerprint": pipe.text.fingerprint, "pooled": False}
    for kind, folder in folders.items():
        module = getattr(pipe, "base" if kind == "mask" else kind)
        save_tensors(folder / "weights.safetensors", module.state_dict())
        scale = {"mean": pipe.normaliser.mean.tolist(), "std": pipe.normaliser.std.tolist()}
        about = scale if kind == "tokenizer" else text
        write_config(folder, kind, {"model": to_dict(module.config), **about})
        parent = sha256_file(folders["tokenizer"] / "weights.safetensors")
        write_json(folder / "provenance.json", {"seed": 1} | ({} if kind == "tokenizer" else {"parent": parent}))
    return folders


def test_the_packed_pipeline_generates_what_its_parts_generate(
    pipe: MotionPipeline, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack(PackConfig(tmp_path / "pipeline", **runs))
    assert "caption encoder hashed" in capsys.readouterr().out
    loaded = MotionPipeline.from_pretrained(tmp_path / "pipeline")
    ours, theirs = (p("a man walks", seed=3, frames=40, steps=4).joints for p in (loaded, pipe))
    assert np.array_equal(ours, theirs)
    assert loaded.provenance["parts"]["base"]["seed"] == 1


def test_half_precision_and_card(runs: dict[str, Path], tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text("# A model")
    whole, half = tmp_path / "whole", tmp_path / "half"
    pack(PackConfig(whole, **runs))
    pack(PackConfig(half, **runs, half=True, card=card))
    size = {folder: (folder / "base.safetensors").stat().st_size for folder in (whole, half)}
    assert size[half] < 0.7 * size[whole]
    assert (half / "README.md").read_text() == "# A model"


def test_command_line(runs: dict[str, Path], tmp_path: Path) -> None:
    flags = [word for kind, folder in runs.items() for word in (f"--{kind}", str(folder))]
    assert main(["checkpoint", "pack", *flags, "--out", str(tmp_path / "pipeline")]) == 0


def test_another_tokenizer_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    write_json(runs["residual"] / "provenance.json", {"parent": "0" * 64})
    with pytest.raises(ConfigError, match="codes of another tokenizer"):
        pack(PackConfig(tmp_path / "pipeline", **runs))
    assert not (tmp_path / "pipeline").exists()


def test_another_caption_encoder_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    path = runs["length"] / "config.json"
    write_json(path, {**read_json(path), "text": "minilm"})
    with pytest.raises(ConfigError, match="different caption encoders"):
        pack(PackConfig(tmp_path / "pipeline", **runs))


def test_a_missing_or_unfinished_run_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    shutil.rmtree(runs["mask"])
    with pytest.raises(CheckpointError, match="not a run folder"):
        pack(PackConfig(tmp_path / "pipeline", **runs))


def test_a_run_of_another_kind_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected 'mask'"):
        pack(PackConfig(tmp_path / "pipeline", **{**runs, "mask": runs["residual"]}))


def published(pipe: MotionPipeline, folder: Path) -> Official:
    """What `load_momask` gives for a folder, here with the parts of a tiny generator."""
    scale = pipe.normaliser
    file = folder / "latest.tar"
    file.write_bytes(b"weights")
    return Official(pipe.tokenizer, pipe.base, pipe.residual, pipe.length, scale.mean, scale.std, {}, {"mask": file})


def read_as(found: Official, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exuvia.published.momask.load_momask", lambda folder: found)


def test_published_checkpoints_become_a_pipeline(
    pipe: MotionPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_as(published(pipe, tmp_path), monkeypatch)
    import_momask(ImportMomaskConfig(folder=tmp_path, out=tmp_path / "pipeline", text="hashed"))
    loaded = MotionPipeline.from_pretrained(tmp_path / "pipeline")
    assert loaded.config["text"]["pooled"]
    assert len(loaded.provenance["momask"]["mask"]) == 64
    assert np.isfinite(loaded("a man walks", frames=40).joints).all()


def test_published_checkpoints_that_lack_something_are_refused(
    pipe: MotionPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_as(replace(published(pipe, tmp_path), length=None), monkeypatch)
    with pytest.raises(CheckpointError, match="length_estimator"):
        import_momask(ImportMomaskConfig(folder=tmp_path, out=tmp_path / "pipeline", text="hashed"))
    read_as(published(pipe, tmp_path), monkeypatch)
    with pytest.raises(ConfigError, match="the weights expect 64"):
        import_momask(ImportMomaskConfig(folder=tmp_path, out=tmp_path / "pipeline", text="minilm"))
