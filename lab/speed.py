"""Times training steps of several models in turn, so that other load on the machine affects all of them equally."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from exuvia.files import write_json
from exuvia.readers import as_type, read_json
from exuvia.train import Task
from lab.memory import kept_bytes

WARM, ROUNDS = 1, 5


@dataclass(frozen=True)
class Speed:
    """One training step: forward, backward and update."""

    step_ms: float
    """Median over the rounds."""
    fastest_ms: float
    """Time of the fastest round."""
    kept_mb: float
    """Memory that the forward pass keeps for the backward pass, in 10^6 bytes."""


def step_speeds(tasks: Mapping[str, Task], rounds: int = ROUNDS) -> dict[str, Speed]:
    """Time one step of every task in turn, for several rounds; changes their weights.

    Args:
        tasks: name -> a task, whose model is moved to its training device
        rounds: number of timed steps, after one that is not timed
    """
    device = training_device()
    for task in tasks.values():
        task.model.to(device)
    optimizers = {name: torch.optim.AdamW(task.model.parameters()) for name, task in tasks.items()}
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(WARM + rounds):
        for name, task in tasks.items():
            times[name].append(timed_step(task, optimizers[name], number))
    return {
        name: Speed(1000 * float(np.median(found[WARM:])), 1000 * min(found[WARM:]), round(kept_mb(tasks[name]), 3))
        for name, found in times.items()
    }


def kept_speeds(path: Path, names: Sequence[str], task_of: Callable[[str], Task]) -> dict[str, Speed]:
    """Return the speeds of models, from a file if it has all of them. Raises DataError, OutputError."""
    kept = as_type(dict[str, Speed], read_json(path), path) if path.is_file() else {}
    if not set(names) <= set(kept):
        kept = step_speeds({name: task_of(name) for name in names})
        write_json(path, {name: vars(one) for name, one in kept.items()})
    return {name: kept[name] for name in names}


def kept_mb(task: Task) -> float:
    """Return the memory that the forward pass of a batch keeps for the backward pass, in 10^6 bytes."""
    batch = {name: part.to(training_device()) for name, part in task.batch(0, np.random.default_rng([0, 0])).items()}
    return kept_bytes(lambda: task.loss(batch, torch.Generator()), task.model) / 1e6


def training_device() -> torch.device:
    """Return the device that the training loop uses."""
    return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")


def timed_step(task: Task, optimizer: torch.optim.Optimizer, number: int) -> float:
    """Return the seconds of one training step on the device of the task's model, without drawing the batch."""
    device = next(task.model.parameters()).device
    batch = {name: part.to(device) for name, part in task.batch(number, np.random.default_rng([0, number])).items()}
    started = time.perf_counter()
    loss, _ = task.loss(batch, torch.Generator())
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
