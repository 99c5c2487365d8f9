"""Pipelines as published MoMask folders: official -> Exuvia -> unlearned -> official, and what has no place there."""

from pathlib import Path

import numpy as np
import pytest
import torch

import exuvia
from exuvia.__main__ import main
from exuvia.commands.import_published import from_momask
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import CheckpointError, ConfigError
from exuvia.features.kit import KIT
from exuvia.motion.arrays import smpl22_from_kit
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.pipeline.stream import Scene
from exuvia.published.export import OWN, folder_names, save_momask
from exuvia.published.momask import load_momask, read_options
from exuvia.text.hashed import HashedText
from official_layout import MASK, RESIDUAL, TOKENIZER, published_folder
from tiny import tiny_pipeline

FILES = {
    "tokenizer": (TOKENIZER, "net_best_fid.tar", "vq_model"),
    "mask": (MASK, "latest.tar", "t2m_transformer"),
    "residual": (RESIDUAL, "net_best_fid.tar", "res_transformer"),
    "length": ("length_estimator", "finest.tar", "estimator"),
}


def weights(folder: Path, part: str) -> dict[str, torch.Tensor]:
    """As the published scripts read them."""
    name, file, key = FILES[part]
    return torch.load(folder / name / "model" / file, map_location="cpu", weights_only=True)[key]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Synthetic motion, a third of it violent."""
    return prepare("synthetic", tmp_path_factory.mktemp("export") / "store", count=60)


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published folder for captions of the hashed encoder."""
    return published_folder(tmp_path_factory.mktemp("official") / "t2m", HashedText().dim)


def test_there_and_back_is_the_same(official: Path, tmp_path: Path) -> None:
    pipe = from_momask(official, "hashed")
    saved = MotionPipeline.from_pretrained(pipe.save_pretrained(tmp_path / "ours"))
    back = save_momask(saved, tmp_path / "t2m")
    assert {p.name for p in back.glob("[!.]*")} == {TOKENIZER, MASK, RESIDUAL, "length_estimator"}
    for part in FILES:
        before, after = weights(official, part), weights(back, part)
        assert before.keys() == after.keys()
        assert all(after[name].equal(value) for name, value in before.items() if not name.endswith(".pe"))
    for name in (TOKENIZER, MASK, RESIDUAL):
        before, after = read_options(official / name / "opt.txt"), read_options(back / name / "opt.txt")
        assert before.items() <= {**after, "name": before.get("name")}.items()
    again = from_momask(back, "hashed")
    assert pipeline_hash(again) == pipeline_hash(pipe)


@pytest.mark.parametrize("method", ["lcr", "uce"])
def test_a_cleaned_generator_goes_back_to_its_owner(official: Path, store: Store, method: str, tmp_path: Path) -> None:
    assert main(f"import momask {official} --out {tmp_path}/ours --text hashed".split()) == 0
    pipe = MotionPipeline.from_pretrained(tmp_path / "ours")
    more = {"num_codes": 4, "variant": "released", "destination": 0} if method == "lcr" else {}
    safe = exuvia.unlearn(method, pipe, data=store, forget="kick", **more)
    safe.save_pretrained(tmp_path / "safe")
    assert main(f"export momask {tmp_path}/safe {tmp_path}/t2m".split()) == 0
    changed = {
        part
        for part in FILES
        if any(
            not weights(tmp_path / "t2m", part)[name].equal(value)
            for name, value in weights(official, part).items()
            if not name.endswith(".pe")
        )
    }
    assert changed == ({"tokenizer"} if method == "lcr" else {"mask", "residual"})
    loaded = load_momask(tmp_path / "t2m")
    cond, lengths = torch.randn(2, 64, generator=torch.Generator().manual_seed(0)), torch.tensor([5, 3])
    codes = loaded.base.generate(cond, lengths, seeds=[1, 2], steps=4)
    assert codes.equal(safe.base.generate(cond, lengths, seeds=[1, 2], steps=4))


@pytest.fixture(scope="module")
def kit_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """KIT-ML's layout: 21 joints at 12.5 frames a second, 251 features."""
    folder = tmp_path_factory.mktemp("kit") / "KIT-ML"
    for part in ("new_joint_vecs", "texts"):
        (folder / part).mkdir(parents=True)
    rng, ids = np.random.default_rng(0), [f"{number:05d}" for number in range(12)]
    for number, name in enumerate(ids):
        np.save(folder / "new_joint_vecs" / f"{name}.npy", rng.normal(0, 20, (48, 251)).astype(np.float32))
        verb = "kicks" if number % 3 == 0 else "walks"
        (folder / "texts" / f"{name}.txt").write_text(f"a person {verb}#a/DET person/NOUN {verb}/VERB#0.0#0.0\n")
    (folder / "train.txt").write_text("\n".join(ids))
    return prepare(folder, folder.parent / "store", representation="kit", mirror=False)


def test_a_generator_of_kit_there_cleaned_and_back(kit_store: Store, store: Store, tmp_path: Path) -> None:
    folder = published_folder(tmp_path / "kit", HashedText().dim, "kit")
    assert main(f"import momask {folder} --out {tmp_path}/ours --text hashed".split()) == 0
    pipe = MotionPipeline.from_pretrained(tmp_path / "ours")
    assert pipe.representation is KIT
    assert pipe.generation.cond_scale == 2
    made = pipe.generate(["a person walks"], frames=100, raw=True)
    assert made.features[0].shape == (100, 251)
    assert made.clips[0].fps == 12.5
    assert made.clips[0].joints.shape == (100, 22, 3)
    wanted = smpl22_from_kit(KIT.recover(made.features[0]).astype(np.float64)) / 1000
    np.testing.assert_allclose(made.clips[0].joints, wanted, rtol=1e-5, atol=1e-5)
    with pytest.raises(ConfigError, match=r"1\.6 to 15\.68 s"):
        pipe("a person walks", frames=400)
    with pytest.raises(ConfigError, match="found kit's"):
        next(pipe.stream([Scene("a person walks", 40)]))
    with pytest.raises(ConfigError, match="features of two layouts"):
        exuvia.unlearn("lcr", pipe, data=store, forget="kick", num_codes=2)
    safe = exuvia.unlearn("lcr", pipe, data=kit_store, forget="kick", num_codes=4, variant="released", destination=0)
    again = MotionPipeline.from_pretrained(safe.save_pretrained(tmp_path / "safe"))
    assert again.representation is KIT
    with pytest.raises(ConfigError, match="read HumanML3D's features"):
        exuvia.evaluate(again, original=pipe, data=kit_store)
    assert main(f"export momask {tmp_path}/safe {tmp_path}/back".split()) == 0
    assert read_options(tmp_path / "back" / TOKENIZER / "opt.txt")["dataset_name"] == "kit"
    assert np.load(tmp_path / "back" / TOKENIZER / "meta" / "mean.npy").shape == (251,)
    assert not weights(tmp_path / "back", "tokenizer")["quantizer.layers.0.codebook"].equal(
        weights(folder, "tokenizer")["quantizer.layers.0.codebook"]
    )


def test_a_pipeline_of_our_own_gets_published_names(tmp_path: Path) -> None:
    pipe = tiny_pipeline()
    pipe.config["text"]["pooled"] = True
    names = folder_names(pipe)
    assert names["tokenizer"] == "rvq_nq3_dc8_nc32_noshare_qdp0.2"
    assert names["mask"] == "t2m_nlayer1_nhead2_ld16_ff16_cdp0.1_rvq3ns"
    assert names["residual"].startswith("tres_nlayer1_ld16_ff16_rvq3ns_cdp0")
    found = load_momask(save_momask(pipe, tmp_path / "t2m"))
    for part in ("tokenizer", "mask", "residual", "length"):
        own = getattr(pipe, "base" if part == "mask" else part).state_dict()
        theirs = getattr(found, "base" if part == "mask" else part)
        kept = {name: value for name, value in theirs.state_dict().items() if not name.endswith(OWN)}
        assert all(own[name].equal(value) for name, value in kept.items())
    assert found.mean == pytest.approx(pipe.normaliser.mean)


def test_what_has_no_place_there_is_refused(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckpointError, match="word by word"):
        save_momask(tiny_pipeline(), tmp_path / "t2m")
    pipe = tiny_pipeline()
    pipe.config["text"]["pooled"] = True
    gated = exuvia.unlearn("prompt_filter", pipe, forget="kick")
    gated.save_pretrained(tmp_path / "gated")
    assert main(f"export momask {tmp_path}/gated {tmp_path}/t2m".split()) == 2
    assert "guards of prompts" in capsys.readouterr().err
    assert not (tmp_path / "t2m").exists()
