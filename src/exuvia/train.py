"""The training loop for all tasks. A run can be killed at any time, and resumes.

The initial weights depend only on the seed, and every later draw on (seed, step, process). A resumed run therefore
needs only weights, optimiser moments and the step number, and continues bit for bit. On a CPU, the same settings and
data give the same weights in every process, on the same machine with the same number of threads.
"""

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn

from exuvia.checkpoint import WEIGHTS as WEIGHTS
from exuvia.checkpoint import load_into, load_metadata, load_tensors, part_of, save_tensors
from exuvia.config import to_dict
from exuvia.device import choose_precision, training_device
from exuvia.errors import CheckpointError, ConfigError, DivergedError
from exuvia.files import locked, write_json, write_text
from exuvia.optimizer import Muon
from exuvia.progress import progress_bar
from exuvia.readers import guarded
from exuvia.run_folder import CHECKPOINT, About, best_of, finished, saved_facts, validations_of, write_run
from exuvia.signals import held
from exuvia.train_settings import TrainConfig

log = logging.getLogger(__name__)

_WATCHER: ContextVar[Callable[[int, int], None] | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(callback: Callable[[int, int], None]) -> Iterator[None]:
    """Call `callback(step, steps)` after each step of every training in the block; an exception ends the training."""
    before = _WATCHER.set(callback)
    try:
        yield
    finally:
        _WATCHER.reset(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's default generators inside the block, and restore their state afterwards."""
    cards = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=cards):
        torch.manual_seed(seed)
        yield


@contextmanager
def _own_precision() -> Iterator[None]:
    """Hide accelerate's process-wide precision inside the block, and restore it afterwards."""
    shared = AcceleratorState._shared_state
    before = dict(shared)
    shared.clear()
    try:
        yield
    finally:
        shared.clear()
        shared.update(before)


class Task(Protocol):
    """A model and its data, as the training loop needs them."""

    @property
    def model(self) -> nn.Module:
        """The model to train."""

    def batch(self, step: int, rng: np.random.Generator) -> Mapping[str, Tensor]:
        """One batch, which depends only on the step and the generator."""

    def loss(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Loss to minimise, and metrics to log."""

    def validate(self) -> Mapping[str, float]:
        """Metrics of `self.model` on held-out data, in evaluation mode."""

    def describe(self) -> dict[str, Any]:
        """`kind`, `model` (its configuration) and all other facts needed to load the model later, JSON-ready."""

    # Optional: parameter_groups(lr, weight_decay) -> list of AdamW's groups; without it there is one group.
    # Optional: facts, a dictionary that is added to the provenance.


class _Step(nn.Module):
    """The loss as a module's forward pass, in which data-parallel engines see all parameters."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model = task.model
        self._task = [task]  # in a list, to keep it from becoming a sub-module

    def forward(self, batch: Mapping[str, Tensor], generator: torch.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        return self._task[0].loss(batch, generator)


def learning_rate(config: TrainConfig, step: int) -> float:
    """The learning rate at a step (counted from 0)."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "constant":
        return config.lr
    if config.schedule == "milestones":
        return config.lr * config.gamma ** sum(step >= m for m in config.milestones)
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.lr * (0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * done))))


def _optimizer(task: Task, config: TrainConfig, precision: torch.dtype) -> torch.optim.Optimizer:
    """The optimiser of a training; a group of a task, such as slow dynamics, keeps its share of the learning rate."""
    others: dict[str, Any] = {"betas": config.betas, "weight_decay": config.weight_decay}
    of_task = getattr(task, "parameter_groups", None)
    if config.optimizer == "muon":
        if of_task:
            raise ConfigError("this model has learning rates of its own for some layers; train it with optimizer adamw")
        return Muon(task.model, config.lr, precision=precision, **others)
    trained = [p for p in task.model.parameters() if p.requires_grad]
    return torch.optim.AdamW(of_task(config.lr, config.weight_decay) if of_task else trained, config.lr, **others)


class Trainer:
    """One run of the loop; usually started by `fit`."""

    def __init__(self, task: Task, config: TrainConfig, out: Path, facts: Mapping[str, Any] | None = None) -> None:
        self.task, self.config, self.out, self.facts = task, config, Path(out), dict(facts or {})
        self.precision = choose_precision(config.precision)
        self.accelerator = Accelerator(mixed_precision=self.precision, cpu=training_device() == "cpu")
        self.device = self.accelerator.device
        task.model.to(self.device)
        self.optimizer = _optimizer(task, config, torch.bfloat16 if self.precision == "bf16" else torch.float32)
        for group in self.optimizer.param_groups:
            group["share"] = group["lr"] / config.lr
        self.module, self.optimizer = self.accelerator.prepare(_Step(task), self.optimizer)
        self.run_module = torch.compile(self.module) if config.compile else self.module
        self.average = {k: v.detach().clone() for k, v in task.model.state_dict().items()} if config.ema else {}
        self.best: dict[str, Tensor] = {}
        self.step, self.writer = 0, None
        self.lines: list[dict[str, float]] = []
        self.about: About = {"train": to_dict(config), "task": task.describe()}
        self.signature = json.dumps(self.about, sort_keys=True)

    def save(self) -> None:
        """Write the resumable state: weights, their average, optimiser moments and metrics."""
        if not self.accelerator.is_main_process:
            return
        tensors = {f"model.{k}": v for k, v in self.task.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.average.items()} | {f"best.{k}": v for k, v in self.best.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
        facts = {"signature": self.signature, "metrics": json.dumps(self.lines), "facts": json.dumps(self.facts)}
        save_tensors(self.out / CHECKPOINT, tensors, {"step": str(self.step), **facts})

    def resume(self) -> None:
        """Continue from the run folder's checkpoint, if any. Raises ConfigError if its run had other settings."""
        path = self.out / CHECKPOINT
        if not path.exists():
            return
        facts = load_metadata(path)
        if facts.get("signature") != self.signature:
            raise ConfigError(f"{self.out} holds a run with other settings; choose another folder or remove it")
        tensors, saved = load_tensors(path), saved_facts(path, facts)
        average = part_of(tensors, "average")
        if self.average:
            load_into(self.task.model, average, "the averaged model of this run")
        load_into(self.task.model, part_of(tensors, "model"), "the model of this run")
        self.average = {k: v.to(self.device) for k, v in average.items()}
        self.best = part_of(tensors, "best")
        state: dict[int, dict[str, Tensor]] = {}
        with guarded(path, "checkpoint of this run", CheckpointError):
            for name, tensor in part_of(tensors, "optimizer").items():
                index, _, key = name.partition(".")
                state.setdefault(int(index), {})[key] = tensor
            self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
            for parameter, moments in self.optimizer.state.items():
                if any(value.ndim and value.shape != parameter.shape for value in moments.values()):
                    raise CheckpointError(f"{path} holds optimiser states of another model; remove it to start again")
        self.step, self.lines = saved["step"], saved["metrics"]
        log.info("resumed %s at step %d", self.out, self.step)

    def run(self) -> dict[str, float]:
        """Train to the last step, or until patience ends; returns the metrics of the weights that `finish` writes."""
        self.writer = _tensorboard(self.out) if self.accelerator.is_main_process else None
        saved = time.monotonic()
        try:
            with progress_bar(self.out.name, "steps", self.step) as progress:
                while self._validation_is_due() or (self.step < self.config.steps and not self._out_of_patience()):
                    if not self._validation_is_due():  # due if an earlier run ended between a step and its validation
                        with held():
                            metrics = self._advance()
                            if self.step % self.config.log_every == 0 or self.step == self.config.steps:
                                self._note({k: float(v) for k, v in metrics.items()})
                    if self._validation_is_due():
                        validated = self.validate()
                        with held():
                            self._note(validated)
                            self._keep_best()
                        log.info("step %d %s", self.step, {k: round(v, 5) for k, v in validated.items()})
                    progress(self.step, self.config.steps)
                    if (watcher := _WATCHER.get()) is not None:
                        watcher(self.step, self.config.steps)
                    if time.monotonic() - saved > self.config.checkpoint_s and self.step < self.config.steps:
                        self.save()
                        saved = time.monotonic()
        except KeyboardInterrupt:
            self.save()
            log.info("stopped at step %d of %d; run again to continue", self.step, self.config.steps)
            raise
        return validations_of(self.lines)[self._best()]

    def _best(self) -> int:
        """Index of the validation whose weights are kept."""
        return best_of(validations_of(self.lines), self.config.best)

    def _keep_best(self) -> None:
        if self._best() == len(validations_of(self.lines)) - 1 and self.config.best:
            self.best = {k: v.detach().clone() for k, v in (self.average or self.task.model.state_dict()).items()}

    def _out_of_patience(self) -> bool:
        since = len(validations_of(self.lines)) - 1 - self._best() if self.best else 0
        return 0 < self.config.patience <= since

    def _validation_is_due(self) -> bool:
        """Whether this step ends with a validation that is not recorded yet."""
        at_end = self.step % self.config.validate_every == 0 or self.step == self.config.steps
        noted = any(line["step"] == self.step and "loss" not in line for line in self.lines[-1:])
        return self.step > 0 and at_end and not noted

    def _advance(self) -> dict[str, Tensor]:
        rank = self.accelerator.process_index
        rng = np.random.default_rng([self.config.seed, self.step, rank])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        torch.manual_seed(int(rng.integers(2**62)))  # dropout
        self.task.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * learning_rate(self.config, self.step)
        batch = {k: v.to(self.device) for k, v in self.task.batch(self.step, rng).items()}
        with self.accelerator.autocast():
            loss, metrics = self.run_module(batch, generator)
        if not torch.isfinite(loss):
            raise DivergedError(f"the loss became {float(loss.detach())} at step {self.step}; lower the learning rate")
        self.accelerator.backward(loss)
        if self.config.clip_norm:
            self.accelerator.clip_grad_norm_(self.task.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._move_average()
        return {"loss": loss.detach(), **metrics}

    @torch.no_grad()
    def _move_average(self) -> None:
        if not self.average:
            return
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.task.model.state_dict().items():
            if value.is_floating_point() and not name.startswith("quantizer."):
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def validate(self) -> dict[str, float]:
        """Validation metrics, of the averaged weights if there are any."""
        model = self.task.model
        held = {k: v.detach().clone() for k, v in model.state_dict().items()} if self.average else {}
        if self.average:
            model.load_state_dict(self.average)
        model.eval()
        try:
            with torch.no_grad():
                return {f"val/{k}": float(v) for k, v in self.task.validate().items()}
        finally:
            if held:
                model.load_state_dict(held)

    def _note(self, metrics: Mapping[str, float]) -> None:
        self.lines.append({"step": self.step, **metrics})
        if not self.accelerator.is_main_process:
            return
        with open(self.out / "metrics.jsonl", "w" if len(self.lines) == 1 else "a", encoding="utf-8") as stream:
            stream.write(json.dumps(self.lines[-1]) + "\n")
        if self.writer is not None:
            for name, value in metrics.items():
                self.writer.add_scalar(name, value, self.step)

    def finish(self, validated: Mapping[str, float], seconds: float) -> None:
        """Write the final weights, configuration, provenance and metrics, and delete the checkpoint."""
        if not self.accelerator.is_main_process:
            return
        facts: dict[str, Any] = {"threads": torch.get_num_threads(), "processes": self.accelerator.num_processes}
        facts |= {"device": str(self.device), "precision": self.precision, "seconds_last_session": round(seconds, 1)}
        final = self.best or self.average or self.task.model.state_dict()
        write_run(self.out, final, self.about, {"step": self.step, **facts, **self.facts}, validated)


def fit(
    make: Callable[[], Task], config: TrainConfig, out: str | Path, facts: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Train a task into a run folder; continue an unfinished run; return at once if it is finished.

    Args:
        make: makes the task; called under the seed, which decides the initial weights
        out: run folder; receives config.json, weights.safetensors, provenance.json, metrics.json(l)
        facts: facts for the provenance (data hash, parent run ...)
    Returns:
        metrics of the last validation
    Raises:
        ConfigError: the folder holds a run with other settings.
        DivergedError: the loss is no longer a finite number.
        OutputError: the folder holds something else, another process is training there, or it cannot be written.
    """
    out = Path(out)
    with seeded(config.seed), _own_precision():
        task = make()
        trainer = Trainer(task, config, out, {**getattr(task, "facts", {}), **(facts or {})})
        with locked(out) if trainer.accelerator.is_main_process else nullcontext():
            if (done := finished(out, trainer.about)) is not None:
                return done
            write_json(out / "run.json", trainer.about)
            trainer.resume()
            # lines after the checkpoint are dropped because their steps run again
            write_text(out / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in trainer.lines))
            start = time.monotonic()
            validated = trainer.run()
            trainer.finish(validated, time.monotonic() - start)
    return validated


def _tensorboard(out: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(out / "tensorboard"))
