"""Training steps of several models side by side: what another program does to the machine hits all of them alike."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from exuvia.bench.memory import give_freed_pages_back, peak_extra_bytes
from exuvia.train import Task

WARM, ROUNDS = 1, 5


@dataclass(frozen=True)
class Speed:
    """One training step: forward, backward and update."""

    step_ms: float
    """Median over the rounds."""
    fastest_ms: float
    """The round that was disturbed least."""
    peak_mb: float | None
    """Memory beyond what was there before, in 10^6 bytes; None where it cannot be read."""


def step_speeds(tasks: Mapping[str, Task], rounds: int = ROUNDS) -> dict[str, Speed]:
    """Time one step of every task in turn, round after round; their weights are changed.

    Args:
        tasks: name -> a task; its model is moved to where it would train
        rounds: steps that count, after one that does not
    """
    device = training_device()
    for task in tasks.values():
        task.model.to(device)
    optimizers = {name: torch.optim.AdamW(task.model.parameters()) for name, task in tasks.items()}
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(WARM + rounds):
        for name, task in tasks.items():
            times[name].append(timed_step(task, optimizers[name], number))
    give_freed_pages_back()
    peaks = {}
    for name, task in tasks.items():
        step = partial(timed_step, task, optimizers[name], 0)
        peaks[name] = peak_extra_bytes(step, device.type)
    return {
        name: Speed(
            1000 * float(np.median(found[WARM:])),
            1000 * min(found[WARM:]),
            None if peaks[name] is None else round((peaks[name] or 0) / 1e6, 3),
        )
        for name, found in times.items()
    }


def training_device() -> torch.device:
    """Where the training loop puts models."""
    return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu")


def timed_step(task: Task, optimizer: torch.optim.Optimizer, number: int) -> float:
    """Seconds of one training step on the device of the task's model; drawing the batch does not count."""
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
