"""The training loop: kill -9 and continue gives, bit for bit, what an uninterrupted run gives."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from exuvia.checkpoint import load_metadata, load_tensors, save_tensors
from exuvia.errors import CheckpointError, ConfigError, OutputError
from exuvia.run_folder import CHECKPOINT, finish_now
from exuvia.tokens.draws import SeededDraws
from exuvia.tokens.rvqvae import RVQVAE
from exuvia.tokens.settings import RVQVAEConfig
from exuvia.train import WEIGHTS, TrainConfig, Trainer, fit, learning_rate

MODEL = RVQVAEConfig(input_dim=263, num_codes=8, code_dim=8, num_quantizers=2, width=8, depth=1, dropout=0.2)


class TinyTask:
    """A tokenizer on noise: parameters, moving averages, dropout and code resets all take part."""

    def __init__(self, pause_s: float = 0.0) -> None:
        torch.manual_seed(1)
        self.model = RVQVAE(MODEL)
        self.pause_s = pause_s

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        time.sleep(self.pause_s)
        return {"features": torch.from_numpy(rng.normal(size=(4, 16, 263)).astype(np.float32))}

    def loss(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        return self.model.loss(batch["features"], SeededDraws(generator), joints=22)

    def validate(self) -> Mapping[str, float]:
        return {"zero": 0.0, "codes": float(self.model.quantizer.layers[0].codebook.sum())}

    def describe(self) -> dict[str, object]:
        return {"kind": "tokenizer", "model": {"width": 8}}


CONFIG = TrainConfig(steps=60, warmup=5, ema=0.9, log_every=5, validate_every=20, checkpoint_s=0.05)


def run_in_child(out: Path, kill_after_lines: int, by: signal.Signals = signal.SIGKILL) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import torch; torch.set_num_threads(1);"
        "from test_train import TinyTask, CONFIG, fit; from exuvia.signals import ended_by_signals\n"
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background\n"
        "with ended_by_signals(): fit(lambda: TinyTask(0.02), CONFIG, sys.argv[2])"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(Path(__file__).parent), str(out)])
    deadline = time.monotonic() + 90
    metrics = out / "metrics.jsonl"
    while time.monotonic() < deadline and child.poll() is None:
        lines = metrics.read_text().count("\n") if metrics.exists() else 0
        if lines >= kill_after_lines and (out / CHECKPOINT).exists():
            break
        time.sleep(0.01)
    child.send_signal(by)
    child.wait()
    assert child.returncode != 0, "the run ended before it could be killed"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed soon after the validation of step 20, its fifth line."""
    if os.name == "nt":
        pytest.skip("SIGKILL is a POSIX signal")
    folder = tmp_path_factory.mktemp("training") / "killed"
    run_in_child(folder, 7)
    return folder


def test_killed_twice_and_resumed_equals_uninterrupted(killed: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole = fit(TinyTask, CONFIG, tmp_path / "whole")
    shutil.copytree(killed, tmp_path / "killed")
    run_in_child(tmp_path / "killed", 10)
    resumed = fit(TinyTask, CONFIG, tmp_path / "killed")
    assert resumed == whole
    a, b = load_tensors(tmp_path / "whole" / WEIGHTS), load_tensors(tmp_path / "killed" / WEIGHTS)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert (tmp_path / "whole" / "metrics.jsonl").read_text() == (tmp_path / "killed" / "metrics.jsonl").read_text()
    assert not (tmp_path / "killed" / CHECKPOINT).exists()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_ended_by_a_signal_and_resumed_equals_uninterrupted(tmp_path: Path, by: signal.Signals) -> None:
    run_in_child(tmp_path / "ended", 3, by)
    assert int(load_metadata(tmp_path / "ended" / CHECKPOINT)["step"]) > 0
    torch.set_num_threads(1)
    fit(TinyTask, CONFIG, tmp_path / "ended")
    fit(TinyTask, CONFIG, tmp_path / "whole")
    a, b = (load_tensors(tmp_path / name / WEIGHTS) for name in ("ended", "whole"))
    assert all(torch.equal(a[name], b[name]) for name in b)
    assert (tmp_path / "whole" / "metrics.jsonl").read_text() == (tmp_path / "ended" / "metrics.jsonl").read_text()


def test_a_validation_that_a_signal_cut_off_is_made_up_for(tmp_path: Path) -> None:
    class Cut(TinyTask):
        def validate(self) -> Mapping[str, float]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(Cut, CONFIG, tmp_path / "cut")
    assert load_metadata(tmp_path / "cut" / CHECKPOINT)["step"] == "20"
    fit(TinyTask, CONFIG, tmp_path / "cut")
    fit(TinyTask, CONFIG, tmp_path / "whole")
    assert (tmp_path / "whole" / "metrics.jsonl").read_text() == (tmp_path / "cut" / "metrics.jsonl").read_text()


def test_a_finished_run_is_returned_and_not_repeated(tmp_path: Path) -> None:
    config = TrainConfig(steps=3, warmup=1, validate_every=3)
    first = fit(TinyTask, config, tmp_path)
    stamp = (tmp_path / WEIGHTS).stat().st_mtime_ns
    assert fit(TinyTask, config, tmp_path) == first
    assert (tmp_path / WEIGHTS).stat().st_mtime_ns == stamp


class Judged(TinyTask):
    """Validations whose third is the best."""

    scores = (0.1, 0.2, 0.7, 0.3, 0.4, 0.5)

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        self.count = step + 1
        return super().batch(step, rng)

    def validate(self) -> Mapping[str, float]:
        return {"r3": self.scores[self.count // 10 - 1], "loss": 1 - self.scores[self.count // 10 - 1]}


class Cut(Judged):
    """A training that is interrupted before a step."""

    def __init__(self, last: int) -> None:
        super().__init__()
        self.last = last

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        if step == self.last:
            raise KeyboardInterrupt
        return super().batch(step, rng)


BEST = TrainConfig(steps=60, warmup=5, ema=0.9, log_every=5, validate_every=10, checkpoint_s=0.0)


@pytest.mark.parametrize("best", ["r3", "loss"])
def test_the_best_weights_are_kept_and_patience_ends_a_training(tmp_path: Path, best: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(lambda: Cut(30), BEST, tmp_path / "third")
    at_best = finish_now(tmp_path / "third")
    kept = fit(Judged, replace(BEST, best=best), tmp_path / "kept")
    ended = fit(Judged, replace(BEST, best=best, patience=2), tmp_path / "ended")
    assert kept == ended == at_best == {"val/r3": 0.7, "val/loss": 1 - 0.7}
    third, *others = (load_tensors(tmp_path / name / WEIGHTS) for name in ("third", "kept", "ended"))
    assert all(torch.equal(third[name], weights[name]) for weights in others for name in third)
    steps = [json.loads((tmp_path / name / "provenance.json").read_text())["step"] for name in ("kept", "ended")]
    assert steps == [60, 50]


def test_the_best_weights_survive_an_interruption(tmp_path: Path) -> None:
    config = replace(BEST, best="r3")
    with pytest.raises(KeyboardInterrupt):
        fit(lambda: Cut(44), config, tmp_path / "cut")
    shutil.copytree(tmp_path / "cut", tmp_path / "finished")
    expected = fit(Judged, config, tmp_path / "whole")
    assert fit(Judged, config, tmp_path / "cut") == finish_now(tmp_path / "finished") == expected
    whole, *others = (load_tensors(tmp_path / name / WEIGHTS) for name in ("whole", "cut", "finished"))
    assert all(torch.equal(whole[name], weights[name]) for weights in others for name in whole)


def test_a_training_with_muon_resumes(tmp_path: Path) -> None:
    config = replace(BEST, optimizer="muon")
    with pytest.raises(KeyboardInterrupt):
        fit(lambda: Cut(25), config, tmp_path / "cut")
    assert fit(Judged, config, tmp_path / "cut") == fit(Judged, config, tmp_path / "whole")
    whole, cut = (load_tensors(tmp_path / name / WEIGHTS) for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_metric_that_a_training_does_not_have_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'r1' to keep the best of; expected one of r3, loss"):
        fit(Judged, replace(BEST, best="r1"), tmp_path)


def test_a_run_of_other_settings_is_not_overwritten(tmp_path: Path) -> None:
    fit(TinyTask, TrainConfig(steps=2, warmup=1), tmp_path)
    with pytest.raises(ConfigError, match="other settings"):
        fit(TinyTask, TrainConfig(steps=3, warmup=1), tmp_path)


def test_run_folder_tells_where_it_came_from(tmp_path: Path) -> None:
    fit(TinyTask, TrainConfig(steps=2, warmup=1, seed=11), tmp_path, {"data": "abc"})
    facts = json.loads((tmp_path / "provenance.json").read_text())
    assert facts["seed"] == 11
    assert facts["data"] == "abc"
    assert facts["commit"]


def test_divergence_is_said_in_a_sentence(tmp_path: Path) -> None:
    task = TinyTask()
    task.model.encoder.model[0].weight.data.fill_(float("nan"))
    with pytest.raises(Exception, match="loss became nan at step 0"):
        fit(lambda: task, TrainConfig(steps=2), tmp_path)


def test_learning_rates() -> None:
    cosine = TrainConfig(steps=100, warmup=10, lr=1.0)
    rates = [learning_rate(cosine, s) for s in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] < 0.03
    steps = TrainConfig(schedule="milestones", milestones=(20, 30), gamma=0.1, lr=1.0, warmup=0)
    assert [round(learning_rate(steps, s), 4) for s in (0, 20, 30)] == [1.0, 0.1, 0.01]
    with pytest.raises(ConfigError, match="unknown schedule 'linear'; did you mean 'cosine'"):
        TrainConfig(schedule="linear")


def test_truncated_weights_are_named(tmp_path: Path) -> None:
    save_tensors(tmp_path / "w.safetensors", {"a": torch.randn(100)})
    data = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(data[:-20])
    with pytest.raises(CheckpointError, match=r"w\.safetensors"):
        load_tensors(tmp_path / "w.safetensors")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        fit(TinyTask, TrainConfig(steps=1), tmp_path / "file" / "run")


def test_a_stopped_run_can_be_finished_where_it_stands(killed: Path, tmp_path: Path) -> None:
    shutil.copytree(killed, tmp_path / "run")
    before = load_tensors(tmp_path / "run" / CHECKPOINT)
    assert finish_now(tmp_path / "run")["val/zero"] == 0.0
    weights = load_tensors(tmp_path / "run" / WEIGHTS)
    assert all(torch.equal(weights[name], before[f"average.{name}"]) for name in weights)
    assert 20 <= json.loads((tmp_path / "run" / "provenance.json").read_text())["step"] < CONFIG.steps
    with pytest.raises(CheckpointError, match="does not exist"):
        finish_now(tmp_path / "run")


def test_two_processes_learn_one_model(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import torch; torch.set_num_threads(1);"
        "from test_train import TinyTask, TrainConfig, fit;"
        "task = TinyTask(); fit(lambda: task, TrainConfig(steps=12, warmup=2, validate_every=6), sys.argv[2]);"
        "import os; torch.save(task.model.state_dict(), sys.argv[2] + '/rank' + os.environ['RANK'])"
    )
    script = tmp_path / "both.py"
    script.write_text(code)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    words = [*launch, str(Path(__file__).parent), str(tmp_path / "run")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    a, b = (torch.load(tmp_path / "run" / f"rank{rank}", weights_only=True) for rank in (0, 1))
    assert all(torch.allclose(a[name].float(), b[name].float(), atol=1e-6) for name in a)
    saved = load_tensors(tmp_path / "run" / WEIGHTS)
    assert all(torch.equal(saved[name], a[name]) for name in saved)
    assert json.loads((tmp_path / "run" / "provenance.json").read_text())["processes"] == 2


def test_groups_of_a_task_keep_their_share_of_the_rate(tmp_path: Path) -> None:
    class Grouped(TinyTask):
        def parameter_groups(self, lr: float, weight_decay: float) -> list[dict[str, object]]:
            first, *rest = self.model.parameters()
            return [{"params": rest, "lr": lr}, {"params": [first], "lr": 0.1 * lr, "weight_decay": 0.0}]

    trainer = Trainer(Grouped(), TrainConfig(steps=4, lr=0.01, warmup=2, weight_decay=0.3), tmp_path / "run")
    for _ in range(4):
        trainer._advance()
        fast, slow = trainer.optimizer.param_groups
        assert slow["lr"] == pytest.approx(0.1 * fast["lr"])
        assert fast["lr"] == pytest.approx(learning_rate(trainer.config, trainer.step - 1))
    assert (fast["weight_decay"], slow["weight_decay"]) == (0.3, 0.0)
