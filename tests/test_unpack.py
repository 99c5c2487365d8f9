"""Unpacking: a pipeline comes apart into run folders that pack to the same pipeline and that trainings read."""

from pathlib import Path

import pytest

from exuvia.__main__ import main
from exuvia.commands.checkpoint import UnpackConfig, unpack
from exuvia.commands.pack import PackConfig, pack
from exuvia.data.prepare import prepare
from exuvia.files import write_text
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.readers import read_json
from exuvia.sequence.causal import CausalGenerator
from exuvia.sequence.length import OwnLength
from exuvia.sequence.settings import CausalConfig
from exuvia.unlearning.base import unlearn
from tiny import CODES, tiny_pipeline

PARTS = ("tokenizer", "mask", "residual", "length")


def runs(folder: Path) -> dict[str, Path]:
    return {kind: folder / kind for kind in PARTS}


def test_what_is_unpacked_packs_to_the_same_pipeline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = tiny_pipeline()
    pipe.provenance["parts"] = {"residual": {"seed": 5}}
    pipe.save_pretrained(tmp_path / "whole")
    assert main(["checkpoint", "unpack", str(tmp_path / "whole"), str(tmp_path / "runs")]) == 0
    assert "tokenizer, mask, residual, length" in capsys.readouterr().out
    pack(PackConfig(tmp_path / "again", **runs(tmp_path / "runs"), generation=pipe.generation))
    again = MotionPipeline.from_pretrained(tmp_path / "again")
    assert pipeline_hash(again) == pipeline_hash(pipe)
    assert again.normaliser.mean == pytest.approx(pipe.normaliser.mean)
    assert again.provenance["parts"]["residual"]["seed"] == 5


def test_another_generator_learns_its_codes_and_joins_the_other_parts(tmp_path: Path) -> None:
    tiny_pipeline().save_pretrained(tmp_path / "whole")
    unpack(UnpackConfig(str(tmp_path / "whole"), tmp_path / "runs"))
    prepare("synthetic", tmp_path / "store", count=20)
    train = f"""train causal --out {tmp_path}/causal
        --tokenizer {tmp_path}/runs/tokenizer --corpus.data {tmp_path}/store
        --text hashed --train.steps 2 --batch-size 4 --train.precision no --model.text-dim 64 --model.num-codes {CODES}
        --model.code-dim 8 --model.width 16 --model.num-layers 1 --model.backbone.mixer mamba"""
    assert main(train.split()) == 0
    flags = {**runs(tmp_path / "runs"), "mask": tmp_path / "causal"}
    pack(PackConfig(tmp_path / "causal-pipeline", **flags))
    made = MotionPipeline.from_pretrained(tmp_path / "causal-pipeline")("a person walks", frames=20)
    assert made.joints.shape == (20, 22, 3)


def test_a_generator_of_another_kind_keeps_its_kind_and_length_goes_if_it_has_no_weights(tmp_path: Path) -> None:
    pipe = tiny_pipeline()
    sizes = {"num_codes": CODES, "code_dim": 8, "width": 16, "num_layers": 1, "text_dim": pipe.text.dim}
    pipe.base = CausalGenerator(CausalConfig(**sizes), seed=1).eval()  # type: ignore[arg-type]
    pipe.length = OwnLength()
    pipe.save_pretrained(tmp_path / "whole")
    unpack(UnpackConfig(str(tmp_path / "whole"), tmp_path / "runs"))
    assert sorted(path.name for path in (tmp_path / "runs").glob("[!.]*")) == ["causal", "residual", "tokenizer"]
    assert read_json(tmp_path / "runs" / "causal" / "config.json")["model"]["backbone"]["mixer"] == "mamba"


def test_edits_of_weights_are_told_and_those_beside_the_weights_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = prepare("synthetic", tmp_path / "store", count=40)
    unlearn("uce", tiny_pipeline(), data=store).save_pretrained(tmp_path / "uce")
    unpack(UnpackConfig(str(tmp_path / "uce"), tmp_path / "runs"))
    assert read_json(tmp_path / "runs" / "mask" / "provenance.json")["edits"][0]["method"] == "uce"
    unlearn("prompt_filter", tiny_pipeline(), data=store).save_pretrained(tmp_path / "filtered")
    assert main(["checkpoint", "unpack", str(tmp_path / "filtered"), str(tmp_path / "other")]) == 2
    assert "undo that edit first" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_no_pipeline_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_text(tmp_path / "folder" / "config.json", "{}")
    assert main(["checkpoint", "unpack", str(tmp_path / "folder"), str(tmp_path / "out")]) == 2
    assert "config.json" in capsys.readouterr().err
