"""Muon: weight matrices move along the orthogonal part of their momentum, all other parameters by AdamW.

    M := μ M + (1 - μ) G,   W := W - 0.2 η max(m, n)^½ polar(μ M + (1 - μ) G)                                     (O1)

with gradient G of a matrix [m, n], and polar(U Σ Vᵀ) = U Vᵀ by Newton-Schulz iteration. The factor gives updates the
size of AdamW's, so both have one learning rate. Source: Jordan et al., Muon (2024); the factor: Liu et al., "Muon is
scalable for LLM training" (arXiv 2502.16982), Sec. 2.2. `torch.optim.Muon` does not take the kernels of convolutions.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
STEPS, FACTORS = 5, (3.4445, -4.7750, 2.0315)
"""Newton-Schulz iterations, and the factors of X, (X Xᵀ) X and (X Xᵀ)² X."""


class Muon(torch.optim.AdamW):
    """AdamW with Muon's update of the weights of linear layers and convolutions.

    Args:
        model: module with the parameters; those that need no gradient are left out
        precision: type of the products in the Newton-Schulz iteration
        lr, others: those of AdamW; the betas do not matter to Muon
    """

    def __init__(self, model: nn.Module, lr: float, *, precision: torch.dtype = torch.float32, **others: Any) -> None:
        layers = [part for part in model.modules() if isinstance(part, nn.Linear | nn.Conv1d)]
        matrices = {id(part.weight): part.weight for part in layers if part.weight.requires_grad}
        rest = [p for p in model.parameters() if p.requires_grad and id(p) not in matrices]
        groups = [{"params": list(matrices.values()), "turned": True}, {"params": rest, "turned": False}]
        super().__init__([group for group in groups if group["params"]], lr, **others)
        self.precision = precision

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all parameters that have a gradient; the gradients of matrices are gone afterwards."""
        for group in self.param_groups:
            for weight in group["params"] if group["turned"] else ():
                if weight.grad is not None:
                    self._turn(weight, group["lr"], group["weight_decay"])
                    weight.grad = None  # AdamW passes over it
        return super().step(closure)

    def _turn(self, weight: Tensor, lr: float, weight_decay: float) -> None:
        """O1"""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state |= {"momentum": torch.zeros_like(weight), "step": torch.zeros(())}  # AdamW reads every state's step
        momentum = state["momentum"].lerp_(weight.grad, 1 - MOMENTUM)
        matrix = weight.grad.lerp(momentum, MOMENTUM).flatten(1)
        step = polar(matrix.to(self.precision)).to(weight.dtype).view_as(weight)
        weight.mul_(1 - lr * weight_decay).add_(step, alpha=-0.2 * lr * max(matrix.shape) ** 0.5)


def polar(matrix: Tensor) -> Tensor:
    """A matrix [m, n] with its singular values brought near 1 (0.7 to 1.2)."""
    a, b, c = FACTORS
    x = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x = x / (x.norm() + 1e-7)
    for _ in range(STEPS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x if matrix.shape[0] <= matrix.shape[1] else x.T
