"""Chooses the steps of a training: a given number, or as many as fit into a time budget; measured once and stored."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from exuvia.files import write_json
from exuvia.readers import read_json
from exuvia.train import Task
from lab.speed import timed_step, training_device

WARM, TIMED = 2, 5
"""Steps that are not timed, and that are."""


def planned_steps(task: Task, steps: int, budget_s: float, path: Path) -> tuple[int, float]:
    """Return the number of steps, and the milliseconds of one step (forward, backward and update).

    Args:
        task: a new task; timing changes its weights
        steps: number of steps without a budget
        budget_s: time budget in seconds; 0: use `steps`
        path: JSON file for the result, so that a resumed run has the same number of steps
    """
    if path.is_file():
        kept: dict[str, Any] = read_json(path)
        return int(kept["steps"]), float(kept["step_ms"])
    task.model.to(training_device())
    optimizer = torch.optim.AdamW(task.model.parameters())
    times = [timed_step(task, optimizer, step) for step in range(WARM + TIMED)]
    mean = float(np.mean(times[WARM:]))
    wanted = max(1, int(budget_s / mean)) if budget_s else steps
    write_json(path, {"steps": wanted, "step_ms": 1000 * mean})
    return wanted, 1000 * mean
