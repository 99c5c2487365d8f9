"""Settings of the training loop; importing this module does not load PyTorch."""

from typing import Annotated, Literal

from pydantic import Field

from exuvia.config import Below1, Count, Natural, NotNegative, Positive, Seed, settings
from exuvia.device import Precision


@settings
class TrainConfig:
    """Steps, learning rate and other settings of the training loop."""

    steps: Count = 1000
    """Total number of optimiser steps."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """Optimiser: adamw, as published; or muon, which takes fewer steps (optimizer.py)."""
    lr: Positive = 2e-4
    """Peak learning rate."""
    warmup: Natural = 200
    """Number of steps of linear warm-up."""
    schedule: Literal["cosine", "constant", "milestones"] = "cosine"
    """Learning rate after the warm-up: cosine (to 2 % of the peak), constant, or milestones."""
    milestones: tuple[Natural, ...] = ()
    """Steps at which the rate is multiplied by gamma (schedule milestones)."""
    gamma: Annotated[float, Field(ge=0, le=10)] = 0.1
    """Factor of the learning rate at each milestone."""
    betas: tuple[Below1, Below1] = (0.9, 0.99)
    """Betas of AdamW."""
    weight_decay: NotNegative = 0.0
    """Weight decay of AdamW."""
    clip_norm: NotNegative = 0.0
    """Maximum norm of the gradients, which are scaled down to it; 0 = no limit."""
    ema: Below1 = 0.0
    """Decay of the weights' moving average, which is saved and validated; 0 saves the last weights."""
    seed: Seed = 3407
    """Seed of all random choices: initial weights, batches, dropout."""
    precision: Precision = "no"
    """Precision of autocast: no (float32), bf16, fp16, or auto (bf16 if the device supports it natively, else no)."""
    compile: bool = False
    """Whether to compile the loss with torch.compile."""
    log_every: Count = 50
    """Number of steps between lines of metrics."""
    validate_every: Count = 1000
    """Number of steps between validations; the last step always validates."""
    best: str = ""
    """Validation metric, such as accuracy or r3, at whose best value the weights are kept; empty keeps the last ones.
    A smaller loss is better, and a larger value of every other metric."""
    patience: Natural = 0
    """Number of validations in a row without a better value of `best` after which the training ends; 0 = no limit."""
    checkpoint_s: NotNegative = 50.0
    """Maximum time between checkpoints, in seconds."""
