"""How long and how fast to learn; nothing here imports PyTorch."""

from typing import Annotated, Literal

from pydantic import Field

from exuvia.config import Below1, Count, Natural, NotNegative, Positive, Seed, settings
from exuvia.device import Precision


@settings
class TrainConfig:
    """How long and how fast to learn."""

    steps: Count = 1000
    """Optimiser steps in all."""
    lr: Positive = 2e-4
    """Peak learning rate."""
    warmup: Natural = 200
    """Steps of linear warm-up."""
    schedule: Literal["cosine", "constant", "milestones"] = "cosine"
    """After the warm-up: cosine (to 2 % of the peak), constant, or milestones."""
    milestones: tuple[Natural, ...] = ()
    """Steps at which the rate is multiplied by gamma (schedule milestones)."""
    gamma: Annotated[float, Field(ge=0, le=10)] = 0.1
    """See milestones."""
    betas: tuple[Below1, Below1] = (0.9, 0.99)
    """Betas of AdamW."""
    weight_decay: NotNegative = 0.0
    """Weight decay of AdamW."""
    clip_norm: NotNegative = 0.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    ema: Below1 = 0.0
    """Decay of the weights' moving average, which is what is saved and validated; 0 keeps the last weights."""
    seed: Seed = 3407
    """Seed of everything random: first weights, batches, dropout."""
    precision: Precision = "no"
    """no (float32), bf16 or fp16: autocast; auto: bf16 where the device has arithmetic for it, else no."""
    compile: bool = False
    """torch.compile the loss."""
    log_every: Count = 50
    """Steps between lines of metrics."""
    validate_every: Count = 1000
    """Steps between validations; the last step always validates."""
    checkpoint_s: NotNegative = 50.0
    """Seconds between checkpoints, at most."""
