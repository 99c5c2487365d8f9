"""Published evaluator folders: the same embeddings after the import, sizes from weights, and what is refused."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exuvia.__main__ import main
from exuvia.checkpoint import load_into
from exuvia.data.prepare import prepare
from exuvia.errors import CheckpointError, DataError
from exuvia.features.normaliser import Normaliser
from exuvia.judges.guo import GuoConfig, GuoEvaluator, MotionTextEvaluator
from exuvia.judges.tasks import load_evaluator
from exuvia.published.evaluator import MATCHING, PARTS, STATISTICS, flat, load_evaluator_folder
from exuvia.text.word_lists import read_words
from exuvia.text.word_vectors import GloVeWords
from tiny import tiny_pipeline

SIZES = GuoConfig(movement_hidden=12, movement_dim=10, motion_hidden=14, text_hidden=16, embedding=18)
WORDS = ["unk", "sos", "eos", "a", "person", "walk", "kick", "punch"]


def published(root: Path, config: GuoConfig = SIZES) -> Path:
    """Folders in the official layout with seeded random weights."""
    torch.manual_seed(0)
    model = GuoEvaluator(config)
    (root / "t2m" / MATCHING).parent.mkdir(parents=True)
    parts = {name: getattr(model, name).state_dict() for name in PARTS}
    torch.save({**parts, "epoch": 3}, root / "t2m" / MATCHING)
    (root / "t2m" / STATISTICS).mkdir(parents=True)
    rng = np.random.default_rng(1)
    np.save(root / "t2m" / STATISTICS / "mean.npy", rng.normal(size=config.dim_pose).astype(np.float32))
    np.save(root / "t2m" / STATISTICS / "std.npy", rng.uniform(0.5, 2, config.dim_pose).astype(np.float32))
    (root / "glove").mkdir()
    np.save(root / "glove" / "our_vab_data.npy", rng.normal(size=(len(WORDS), 300)))
    order = {word: row for row, word in enumerate(WORDS)}
    (root / "glove" / "our_vab_words.pkl").write_bytes(pickle.dumps(WORDS))
    (root / "glove" / "our_vab_idx.pkl").write_bytes(pickle.dumps(order))
    return root


def call(root: Path, out: Path) -> int:
    return main(f"import evaluator {root}/t2m --glove {root}/glove --out {out}".split())


def test_an_imported_evaluator_embeds_as_the_published_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = published(tmp_path)
    assert call(root, tmp_path / "run") == 0
    assert "263 features, embeddings of 18, 8 words" in capsys.readouterr().out
    model = GuoEvaluator(SIZES)
    stored = torch.load(root / "t2m" / MATCHING, weights_only=True)
    load_into(model, flat({name: part for name, part in stored.items() if name != "epoch"}), "the evaluator")
    mean, std = (np.load(root / "t2m" / STATISTICS / f"{kind}.npy") for kind in ("mean", "std"))
    wanted = MotionTextEvaluator(model, GloVeWords(root / "glove"), Normaliser(mean, std))
    found = load_evaluator(tmp_path / "run")
    captions = ["a person walks", "a person kicks the ball"]
    tokens = ["a/DET person/NOUN walk/VERB", "a/DET person/NOUN kick/VERB the/DET ball/NOUN"]
    assert torch.equal(found.embed_text(captions, tokens), wanted.embed_text(captions, tokens))
    clips = [np.random.default_rng(n).normal(size=(40 + 8 * n, 263)).astype(np.float32) for n in range(3)]
    assert torch.equal(found.embed_clips(clips), wanted.embed_clips(clips))
    assert not torch.equal(found.embed_text(captions, tokens)[0], found.embed_text(captions, tokens)[1])


def test_the_published_sizes_and_those_of_kit_are_found(tmp_path: Path) -> None:
    root = published(tmp_path, GuoConfig(dim_pose=251))
    found = load_evaluator_folder(root / "t2m", root / "glove")
    assert found.model.config == GuoConfig(dim_pose=251)
    assert sum(p.numel() for p in found.model.motion_encoder.parameters()) == 15_747_584  # as published
    assert sum(p.numel() for p in found.model.text_encoder.parameters()) == 4_100_288


def test_a_benchmark_takes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(published(tmp_path), tmp_path / "run") == 0
    store = prepare("synthetic", tmp_path / "store", count=80)
    tiny_pipeline().save_pretrained(tmp_path / "pipe")
    where = f"--data {store.folder} --pipeline {tmp_path}/pipe --evaluator {tmp_path}/run --out {tmp_path}/bench"
    words = f"benchmark violence {where} --methods none --kinds --seeds 0 --limit 6 --workers 0"
    assert main(words.split()) == 0, capsys.readouterr().err
    assert "mm_dist" in capsys.readouterr().out


def spoiled(root: Path, change: str) -> None:
    path, stored = root / "t2m" / MATCHING, torch.load(root / "t2m" / MATCHING, weights_only=True)
    if change == "part":
        del stored["text_encoder"]
    elif change == "tensor":
        del stored["movement_encoder"]["main.0.weight"]
    elif change == "shape":
        stored["motion_encoder"]["input_emb.bias"] = torch.zeros(3)
    elif change == "extra":
        stored["motion_encoder"]["more"] = torch.zeros(3)
    torch.save(stored, path)
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-300])
    if change == "absent":
        path.unlink()
    if change == "mean":
        np.save(root / "t2m" / STATISTICS / "mean.npy", np.zeros(251, np.float32))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("part", "no evaluator checkpoint"), ("cut", "not a readable checkpoint"),
        ("absent", "does not exist"), ("tensor", "lacks a tensor"), ("shape", "input_emb.bias"), ("extra", "more"),
        ("mean", "found 251 means and 263 deviations"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(
    change: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = published(tmp_path)
    spoiled(root, change)
    assert call(root, tmp_path / "run") == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


class Bomb:
    """Runs a command where it is unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_nothing_in_a_file_is_executed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = published(tmp_path)
    (root / "glove" / "our_vab_words.pkl").write_bytes(pickle.dumps(["unk", Bomb(tmp_path / "ran")]))
    assert call(root, tmp_path / "run") == 2
    assert "plain text only" in capsys.readouterr().err
    torch.save({"movement_encoder": Bomb(tmp_path / "ran")}, root / "t2m" / MATCHING)
    with pytest.raises(CheckpointError, match="pickled object"):
        load_evaluator_folder(root / "t2m", root / "glove")
    assert not (tmp_path / "ran").exists()


def test_word_lists(tmp_path: Path) -> None:
    words, index = tmp_path / "words.pkl", tmp_path / "idx.pkl"
    words.write_bytes(pickle.dumps(["walk", "kick"]))
    assert read_words(words, index) == ["walk", "kick"], "without an index the order of the list"
    index.write_bytes(pickle.dumps({"walk": 1, "kick": 0}))
    assert read_words(words, index) == ["kick", "walk"]
    for bad, told in (({"walk": 0}, "does not hold"), ({"walk": 0, "kick": 0}, "without gaps")):
        index.write_bytes(pickle.dumps(bad))
        with pytest.raises(DataError, match=told):
            read_words(words, index)
    for content in (pickle.dumps({"a": 1}), pickle.dumps([1, 2]), b"", b"\x80\x04."):
        words.write_bytes(content)
        with pytest.raises(DataError, match=r"words\.pkl"):
            read_words(words)
