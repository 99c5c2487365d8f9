"""Targets of damaged files: readers of runs, pipelines, published checkpoints, word lists, reports and caches."""

import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lab.campaign.fixtures import Fixtures, made_by
from lab.campaign.targets import Reader, target


@cache
def _hashed() -> Any:
    from exuvia.text.hashed import HashedText

    return HashedText()


@target(
    "pipeline",
    0.5,
    "config.json provenance.json normaliser.safetensors length.safetensors base.safetensors",
)
def _pipeline(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.unlearning.base import unlearn

    edited = unlearn("prompt_filter", fixtures.tiny, forget="violence")
    edited.save_pretrained(folder)
    return lambda place: MotionPipeline.from_pretrained(place, text=_hashed())


@target("undo", 0.2, "undo.safetensors")
def _undo(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.unlearning.base import unlearn
    from exuvia.unlearning.undo import save_undo, undo

    edited = unlearn("prompt_filter", fixtures.tiny, forget="violence")
    save_undo(folder / "undo.safetensors", fixtures.tiny, edited)
    return lambda place: undo(edited, place / "undo.safetensors")


@target("tokenizer run", 0.5, "config.json weights.safetensors")
def _tokenizer(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.checkpoint import save_tensors, write_config
    from exuvia.config import to_dict
    from exuvia.recipes.tokenizer import load_tokenizer

    model = fixtures.tiny.tokenizer
    write_config(folder, "tokenizer", {"model": to_dict(model.config), **fixtures.tiny.normaliser.listed()})
    save_tensors(folder / "weights.safetensors", model.state_dict())
    load_tokenizer(folder)
    return lambda place: load_tokenizer(place)


@target("classifier", 0.4, "config.json metrics.json weights.safetensors")
def _classifier(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.checkpoint import shipped
    from exuvia.judges.tasks import load_detector

    shutil.copytree(shipped("classifier"), folder, dirs_exist_ok=True)
    return lambda place: load_detector(place)


@target("evaluator", 0.3, "config.json weights.safetensors glove/our_vab_data.npy glove/our_vab_words.txt")
def _evaluator(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.judges.tasks import load_evaluator
    from exuvia.published.evaluator import load_evaluator_folder, save_evaluator

    root = made_by("test_evaluate_official").published(fixtures.root / "published")
    save_evaluator(load_evaluator_folder(root / "t2m", root / "glove"), folder)
    return lambda place: load_evaluator(place)


@target(
    "published evaluator",
    0.3,
    "t2m/text_mot_match/model/finest.tar t2m/Comp_v6_KLD005/meta/mean.npy glove/our_vab_words.pkl "
    "glove/our_vab_idx.pkl glove/our_vab_data.npy",
)
def _published_evaluator(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.published.evaluator import load_evaluator_folder

    made_by("test_evaluate_official").published(folder)
    return lambda place: load_evaluator_folder(place / "t2m", place / "glove")


@target(
    "momask", 0.2, "mask/opt.txt mask/model/latest.tar vq/opt.txt vq/meta/mean.npy length_estimator/model/finest.tar"
)
def _momask(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.published.momask import load_momask

    made = made_by("official_layout")
    made.published_folder(folder)
    for old, new in ((made.TOKENIZER, "vq"), (made.MASK, "mask")):
        (folder / old).rename(folder / new)
    load_momask(folder, tokenizer="vq", mask="mask")
    return lambda place: load_momask(place, tokenizer="vq", mask="mask")


@target("bamm", 0.2, "decoder/opt.txt decoder/model/latest.tar tokenizer/opt.txt")
def _bamm(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.published.momask import load_bamm_folders

    made, own = made_by("official_layout"), made_by("test_official_bamm")
    whole = made.published_folder(folder / "t2m", _hashed().dim)
    (whole / made.TOKENIZER).rename(folder / "tokenizer")
    (whole / made.RESIDUAL).rename(folder / "residual")
    shutil.rmtree(whole)
    sizes = {"latent_dim": 24, "ff_size": 40, "n_layers": 2, "n_heads": 3, "dropout": 0.2, "cond_drop_prob": 0.1}
    made.write_options(folder / "decoder" / "opt.txt", **sizes, trans="official", vq_name=made.TOKENIZER)
    weights = made.filled(own.decoder_shapes("official"), 5)
    made.write_checkpoint(folder / "decoder" / "model/latest.tar", "t2m_transformer", weights)
    return lambda place: load_bamm_folders(place / "decoder", place / "tokenizer", place / "residual")


@target("clip", 0.2, "vocab.json merges.txt model.safetensors")
def _clip(fixtures: Fixtures, folder: Path) -> Reader:
    from safetensors.torch import save_file

    from exuvia.text.clip import CLIPText, numbered

    made = made_by("test_text_clip")
    ids = numbered(made.MERGES)
    save_file(made.openai_weights(len(ids)), folder / "model.safetensors")
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in made.MERGES) + "\n")
    return lambda place: CLIPText(place).encode(["a man walks"])


@target("tokenizer.json", 3, "tokenizer.json")
def _tokenizer_json(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.text.clip import clip_tokenizer, numbered
    from exuvia.text.weights import load_tokenizer

    merges = made_by("test_text_clip").MERGES
    clip_tokenizer(numbered(merges), merges).save(str(folder / "tokenizer.json"))
    return lambda place: load_tokenizer(place / "tokenizer.json").encode("a man")


@target("word vectors", 30, "glove.txt")
def _vectors(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.text.word_vectors import GloVeWords

    lines = [f"{word} {' '.join(['0.5'] * 300)}" for word in ("unk", "walk")]
    (folder / "glove.txt").write_text("\n".join(lines) + "\n")
    return lambda place: GloVeWords(place / "glove.txt")


@target("word list", 40, "words.pkl idx.pkl")
def _words(fixtures: Fixtures, folder: Path) -> Reader:
    import pickle

    from exuvia.text.word_lists import read_words

    (folder / "words.pkl").write_bytes(pickle.dumps(["unk", "walk"]))
    (folder / "idx.pkl").write_bytes(pickle.dumps({"unk": 0, "walk": 1}))
    return lambda place: read_words(place / "words.pkl", place / "idx.pkl")


def _learner() -> tuple[Any, Any]:
    from exuvia.train_settings import TrainConfig

    return made_by("test_train").TinyTask(), TrainConfig(steps=2, warmup=1, ema=0.9, validate_every=1, log_every=1)


def _copied(place: Path, read: Reader) -> None:
    """Read a copy, because reading may change it."""
    copy = Path(shutil.copytree(place, place.parent / "copy", dirs_exist_ok=True))
    try:
        read(copy)
    finally:
        shutil.rmtree(copy)


@target("resumed run", 0.3, "checkpoint.safetensors")
def _resumed(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.run_folder import finish_now
    from exuvia.train import Trainer

    task, config = _learner()
    trainer = Trainer(task, config, folder)
    trainer.step, trainer.lines = 1, [{"step": 1, "val/zero": 0.0}]
    trainer.save()

    def read(copy: Path) -> None:
        Trainer(*_learner(), copy).resume()
        finish_now(copy)

    return lambda place: _copied(place, read)


@target("finished run", 0.3, "run.json metrics.json")
def _finished(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.train import fit

    task, config = _learner()
    fit(lambda: task, config, folder)
    return lambda place: _copied(place, lambda copy: fit(lambda: task, config, copy))


@target("report", 1, "report.json examples.safetensors")
def _report(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.checkpoint import save_tensors
    from exuvia.evaluation.report import read_report, side_by_side
    from exuvia.report.page import read_clips

    made_by("test_report").made(2).save(folder)
    import torch

    save_tensors(folder / "examples.safetensors", {"a": torch.from_numpy(fixtures.clip.joints)})
    whole = read_report(folder)

    def read(place: Path) -> None:
        found = side_by_side({"a": read_report(place / "report.json"), "b": whole})
        str((found.markdown(), found.csv(), found.latex()))
        read_clips(place)

    return read


@target("report page", 0.03, "report.json examples.safetensors")
def _report_page(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.evaluation.report import read_report
    from exuvia.report.page import read_clips, write_report

    _report(fixtures, folder)
    return lambda place: write_report(read_report(place), place.parent / "page", read_clips(place))


@target("cache", 20, "kept.json codes.safetensors")
def _cache(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.cache import keep_arrays, keep_json, recall_arrays, recall_json

    keep_json(folder / "kept.json", ["a"], {"x": [1, 2]})
    keep_arrays(folder, "codes", ["a"], {"codes": np.zeros((4, 3), np.int16)})
    named = next(folder.glob("codes-*"))
    named.rename(folder / "codes.safetensors")

    def read(place: Path) -> None:
        shutil.copyfile(place / "codes.safetensors", place / named.name)
        recall_json(place / "kept.json", ["a"])
        recall_arrays(place, "codes", ["a"])

    return read


@target("lab result", 20, "result.json")
def _result(fixtures: Fixtures, folder: Path) -> Reader:
    from lab.ledger.numbers import read_rows

    row: dict[str, object] = {"value": 1, "low": None, "high": None, "seed": None}
    row |= dict.fromkeys(("name", "unit", "command", "commit", "machine", "date"), "a")
    (folder / "result.json").write_text(json.dumps(row) + "\n")
    return lambda place: read_rows(place / "result.json")
