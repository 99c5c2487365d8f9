"""A process of tests/test_seeds.py: tiny trainings, edits and measurements in the working folder, from seeds alone.

python seeded_runs.py STORE PIPELINE WHAT ...     WHAT: few, stop, train, edit, measure, lab
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exuvia.__main__ import main
from exuvia.commands.train import RECIPE, train
from exuvia.config import from_dict
from exuvia.data.store import Store
from exuvia.evaluation.audit import audit, audit_lines
from exuvia.evaluation.benchmark import MethodSpec, Plan, run_benchmark
from exuvia.evaluation.suite import evaluate
from exuvia.files import write_json
from exuvia.judges.shipped import shipped_detector
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.registry import UNLEARN
from exuvia.train import TrainConfig, watched
from exuvia.unlearning.base import unlearn
from tiny import CODES, LEVELS

LOOP = {"steps": 4, "warmup": 1, "validate_every": 4, "checkpoint_s": 0.0, "log_every": 1, "lr": 1e-3}
TOKENS = {"num_codes": CODES, "code_dim": 8, "width": 8, "depth": 1, "num_quantizers": LEVELS}
CODED = {"num_codes": CODES, "code_dim": 8, "width": 16, "num_layers": 1, "text_dim": 64}
HEADS = {**CODED, "inner_width": 16, "num_heads": 2, "table_length": 64}
JUDGE = {"movement_hidden": 8, "movement_dim": 8, "motion_hidden": 8, "text_hidden": 8, "embedding": 8}
MODEL: dict[str, dict[str, Any]] = {
    "tokenizer": TOKENS,
    "mask": HEADS,
    "bamm": HEADS,
    "causal": {**CODED, "backbone": {"mixer": "serpent"}},
    "residual": {**HEADS, "num_quantizers": LEVELS},
    "length": {"text_dim": 64, "hidden": (16,)},
    "evaluator": JUDGE,
    "retrieval": {"text_dim": 64, "latent_dim": 16, "inner_width": 16, "num_layers": 1, "decoder_layers": 1},
    "classifier": {"width": 8},
}
"""Part -> sizes; every part of `exuvia train` stands here."""
FEW = {"steps": 2, "batch_size": 4, "warmup": 1}
METHOD: dict[str, dict[str, Any]] = {
    "none": {},
    "prompt_filter": {},
    "retrain": {"weights": "packed"},
    "finetune": {"tune": FEW},
    "esd": {"tune": FEW | {"precision": "no"}},
    "negation": {"tune": FEW},
    "uce": {},
    "rece": {},
    "lcr": {"num_codes": 4, "levels": (0, 1), "destination": "random"},
}
"""Method -> settings; every unlearning method stands here."""


def recipe(part: str, store: Path, **loop: object) -> Any:
    """The tiny training of a part, into the folder of that name."""
    made: dict[str, Any] = {"out": part, "train": LOOP | loop}
    if part in ("evaluator", "retrieval", "classifier"):
        made |= {"corpus": {"data": (str(store),)}, "task": {"model": MODEL[part], "batch_size": 8}}
        made["task"] |= {"text": "hashed"} if part == "retrieval" else {}
        return from_dict(RECIPE[part], made)
    made |= {"model": MODEL[part], "batch_size": 8, "corpus": {"data": (str(store),), "without": ("violence",)}}
    made |= {} if part == "tokenizer" else {"tokenizer": "tokenizer", "text": "hashed", "max_steps": 12}
    return from_dict(RECIPE[part], made)


class Stopped(Exception):
    """Raised in the middle of a training."""


def stop(step: int, steps: int) -> None:
    """End a training at its third step; its last checkpoint is of the second."""
    if step == 3:
        raise Stopped


def stop_all(store: Path, pipeline: Path) -> None:
    """Begin every training; the tokenizer is finished, since others need it."""
    for part in MODEL:
        try:
            with watched(stop):
                train(recipe(part, store))
        except Stopped:
            assert Path(part, "checkpoint.safetensors").is_file()
        if part == "tokenizer":
            train(recipe(part, store))


def train_all(store: Path, pipeline: Path) -> None:
    """Train every part, and pack a generator."""
    for part in MODEL:
        train(recipe(part, store))
    parts = [word for part in ("tokenizer", "mask", "residual", "length") for word in (f"--{part}", part)]
    assert main(["checkpoint", "pack", *parts, "--out", "packed"]) == 0


def few(store: Path, pipeline: Path) -> None:
    """What takes least: a part with a codebook, a judge, an edit by training and one in closed form."""
    for part in ("tokenizer", "classifier"):
        train(recipe(part, store, steps=2, validate_every=2))
    pipe = MotionPipeline.from_pretrained(pipeline)
    for name in ("esd", "lcr"):
        unlearn(name, pipe, forget="violence", data=store, **METHOD[name]).save_pretrained(Path("edited") / name)


def edit_all(store: Path, pipeline: Path) -> None:
    """Edit a generator by every method."""
    pipe = MotionPipeline.from_pretrained(pipeline)
    for name, settings in METHOD.items():
        unlearn(name, pipe, forget="violence", data=store, **settings).save_pretrained(Path("edited") / name)


def measure_all(store: Path, pipeline: Path) -> None:
    """Compare, evaluate and audit generators."""
    settings: dict[str, Any] = {"seeds": (0, 1), "limit": 3, "kinds": ("implicit",), "pipeline": str(pipeline)}
    methods = tuple(map(MethodSpec.parse, ("none", "lcr:num_codes=4")))
    run_benchmark(Plan("violence", str(store), methods, refine=1, **settings), Path("benchmark"), workers=0)
    pipe = MotionPipeline.from_pretrained(pipeline)
    safe = unlearn("lcr", pipe, forget="violence", data=store, num_codes=4)
    evaluate(safe, original=pipe, data=Store.open(store), limit=3, seeds=(0, 1)).save("evaluation")
    lines = audit(pipe, shipped_detector(), audit_lines(["a man kicks", "a man sits"], ["implicit"], [0]))
    write_json("audit.json", [vars(line) for line in lines])


def lab_all(store: Path, pipeline: Path) -> None:
    """The laboratory's trainers."""
    from lab.lm.corpus import Corpus
    from lab.lm.run import Recipe, run_text
    from lab.lra.run import run_problem
    from lab.selectivity.study import run_study
    from test_bench_lra_run import RECIPE as TOY
    from test_bench_lra_run import problem
    from test_bench_selectivity import TINY

    few = TrainConfig(steps=4, warmup=1, validate_every=4)
    run_problem(problem(), replace(TOY, train=few), ["mamba", "serpent-s4d"], [0, 1], Path("lra"))
    text = np.tile(np.arange(5, dtype=np.int32), 100)
    corpus = Corpus("cycle", text, text[:100], text[:100], 5, bytes_a_token=2.0)
    run_text(corpus, Recipe(4000, 1, 24, 8, state=4, train=few), ["mamba", "transformer"], [0], Path("lm"))
    run_study(replace(TINY, sources=("markov",), seeds=(0,)), Path("selectivity"))


DO: dict[str, Callable[[Path, Path], None]] = {
    "few": few,
    "stop": stop_all,
    "train": train_all,
    "edit": edit_all,
    "measure": measure_all,
    "lab": lab_all,
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    assert MODEL.keys() == RECIPE.keys()
    assert METHOD.keys() == UNLEARN.keys()
    for what in sys.argv[3:]:
        DO[what](Path(sys.argv[1]), Path(sys.argv[2]))
