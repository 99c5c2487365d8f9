"""The same command, seed and machine: the same weights and results from every process, stopped or not."""

import ast
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

import seeded_runs
from exuvia.checkpoint import load_tensors
from exuvia.commands.benchmark import BenchmarkConfig
from exuvia.commands.train import train
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia.errors import ConfigError
from exuvia.train import WEIGHTS, TrainConfig, fit, seeded
from exuvia.unlearning.settings import LCRConfig
from test_train import TinyTask
from tiny import tiny_pipeline

ROOT = Path(__file__).resolve().parents[1]
MAY_DIFFER = {
    "command",  # what was typed
    "date",
    "seconds_last_session",  # of a training
    "edit_s", "edit_peak_mb", "evaluation_s", "evaluation_peak_mb",  # measured costs of a benchmark's methods
}  # fmt: skip
"""Keys of JSON files that measure or date the run itself; everything else is a result."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Synthetic motion."""
    return prepare("synthetic", tmp_path_factory.mktemp("seeds") / "store", count=160)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny generator in a folder."""
    return tiny_pipeline().save_pretrained(tmp_path_factory.mktemp("seeds") / "tiny")


def start(folder: Path, store: Store, generator: Path, *what: str, hashes: int) -> subprocess.Popen[str]:
    """A process of seeded_runs.py in a folder, with its own order of sets."""
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONHASHSEED": str(hashes), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    words = [sys.executable, seeded_runs.__file__, str(store.folder), str(generator), *what]
    return subprocess.Popen(
        words, cwd=folder, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


def finish(*processes: subprocess.Popen[str]) -> None:
    """Wait for processes that must succeed."""
    for process in processes:
        said = process.communicate(timeout=600)[1]
        assert process.returncode == 0, said[-3000:]


def results(folder: Path) -> dict[str, str]:
    """Every file of weights and results by its name: its SHA-256, or that of its JSON less what may differ."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".json":
            kept: bytes = json.dumps(_lasting(json.loads(path.read_text())), sort_keys=True).encode()
        elif path.suffix in (".safetensors", ".jsonl", ".csv"):
            kept = path.read_bytes()
        else:
            continue
        found[str(path.relative_to(folder))] = hashlib.sha256(kept).hexdigest()
    return found


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lasting(one) for key, one in value.items() if key not in MAY_DIFFER}
    return [_lasting(one) for one in value] if isinstance(value, list) else value


def test_two_processes_begin_and_edit_alike(store: Store, generator: Path, tmp_path: Path) -> None:
    finish(*(start(tmp_path / str(n), store, generator, "few", hashes=n) for n in (1, 2)))
    first = results(tmp_path / "1")
    assert first == results(tmp_path / "2")
    assert {"tokenizer/weights.safetensors", "classifier/metrics.jsonl", "edited/esd/base.safetensors"} <= first.keys()


@pytest.mark.slow
def test_every_training_and_edit_is_the_same_in_two_processes_though_one_was_stopped(
    store: Store, generator: Path, tmp_path: Path
) -> None:
    one = start(tmp_path / "one", store, generator, "train", "edit", hashes=1)
    finish(one, start(tmp_path / "two", store, generator, "stop", "train", "edit", hashes=2))
    first = results(tmp_path / "one")
    assert first == results(tmp_path / "two")
    weights = {name for name in first if name.endswith("/" + WEIGHTS)}
    assert {f"{part}/{WEIGHTS}" for part in seeded_runs.MODEL} <= weights
    bases = {name: first[f"edited/{name}/base.safetensors"] for name in seeded_runs.METHOD}
    assert len({bases[name] for name in ("none", "retrain", "finetune", "esd", "uce", "rece")}) == 6


@pytest.mark.slow
def test_two_processes_measure_alike(store: Store, generator: Path, tmp_path: Path) -> None:
    finish(*(start(tmp_path / str(n), store, generator, "measure", "lab", hashes=n) for n in (1, 2)))
    first = results(tmp_path / "1")
    assert first == results(tmp_path / "2")
    assert {"benchmark/report.json", "benchmark/examples.safetensors", "benchmark/refined.json"} <= first.keys()
    assert {"evaluation/report.json", "evaluation/report.csv", "audit.json", "selectivity/summary.json"} <= first.keys()
    assert sum(name.endswith("/result.json") for name in first) == 6


@pytest.mark.parametrize("part", seeded_runs.MODEL)
def test_another_seed_gives_other_first_weights(trained: Path, store: Store, part: str, tmp_path: Path) -> None:
    starts = []
    for seed in (1, 2):
        short = seeded_runs.recipe(part, store.folder, seed=seed, steps=1, lr=1e-30, validate_every=1)
        out = tmp_path / str(seed)
        train(replace(short, out=str(out), **({"tokenizer": str(trained)} if hasattr(short, "tokenizer") else {})))
        starts.append(load_tensors(out / WEIGHTS))
    maps = [name for name, one in starts[0].items() if one.ndim > 1 and "quantizer" not in name and name[-3:] != ".pe"]
    assert maps
    assert not [name for name in maps if torch.equal(starts[0][name], starts[1][name])]


@pytest.fixture(scope="module")
def trained(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer run."""
    made = replace(seeded_runs.recipe("tokenizer", store.folder), out=str(tmp_path_factory.mktemp("seeds") / "run"))
    train(made)
    return Path(made.out)


BUILT_BEFORE = {
    "src/exuvia/unlearning/tuning.py",  # the model is a trained generator's
    "lab/selectivity/study.py",  # its model is drawn under the seed, and measured untrained too
}
"""Files that give `fit` a task that exists already."""


def test_fit_is_the_only_door_to_a_training_and_builds_its_task() -> None:
    for path in sorted(file for place in ("src", "lab") for file in (ROOT / place).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("lab/campaign/"):  # it makes runs to damage them
            continue
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            called = getattr(call.func, "id", "")
            assert called != "Trainer" or name == "src/exuvia/train.py", f"{name} starts a training without fit"
            make = call.args[0] if called == "fit" and call.args else None
            if isinstance(make, ast.Lambda) and isinstance(make.body, ast.Name):
                assert name in BUILT_BEFORE, f"{name} builds a model before fit has seeded anything"


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_nothing_can_be_drawn_from_is_refused_in_a_sentence(seed: int) -> None:
    for make in (
        lambda: TrainConfig(seed=seed),
        lambda: LCRConfig(seed=seed),
        lambda: BenchmarkConfig("violence", seeds=(seed,)),
    ):
        with pytest.raises(ConfigError, match=f"found seeds?.* {seed}, expected"):
            make()


def test_a_training_leaves_the_draws_of_its_caller_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(TinyTask, TrainConfig(steps=2, warmup=1), tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)
    with pytest.raises(ZeroDivisionError), seeded(1):
        1 / 0  # noqa: B018
    torch.manual_seed(5)
    with seeded(1):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with seeded(1):
        assert torch.equal(torch.rand(3), inside)


def test_trainings_of_two_precisions_fit_in_one_process(tmp_path: Path) -> None:
    AcceleratorState._reset_state()  # of trainings that ran before in this process
    given = Accelerator(mixed_precision="bf16")
    for number, precision in enumerate(("no", "bf16", "no")):
        fit(TinyTask, TrainConfig(steps=2, warmup=1, precision=precision), tmp_path / str(number))
    plain, half, again = (load_tensors(tmp_path / str(number) / WEIGHTS) for number in range(3))
    assert all(torch.equal(plain[name], again[name]) for name in plain)
    assert not all(torch.equal(plain[name], half[name]) for name in plain)
    assert given.mixed_precision == "bf16"
    AcceleratorState._reset_state()
