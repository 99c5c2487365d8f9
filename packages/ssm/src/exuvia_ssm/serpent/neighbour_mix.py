"""Combines the K stacked neighbours to one element of the compressed sequence.

Initially the selected element passes unchanged (rotated, if the width changes) and its neighbours contribute little,
so a branch that keeps every element starts as its inner layer. With PyTorch's default initialisation, SeRpEnt learned
more slowly than its backbone even if no element was dropped [own choice].
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from exuvia_ssm.errors import ConfigError
from exuvia_ssm.layer import Layer

NEIGHBOURS = 0.1
"""Initial scale of the neighbours' weights, relative to weights that preserve the variance."""


class FullMix(Layer):
    """z = W [x_1 .. x_K, phi_1 .. phi_K] + b: "Linear" in Fig. 2 [rando2025serpent]; phi's place is inferred.   (S6)"""

    def __init__(self, d_model: int, width: int, K: int, num_features: int, own: int = -1) -> None:
        super().__init__()
        self.linear = nn.Linear(K * d_model, width)
        self.expansion = nn.Linear(K * num_features, width, bias=False) if num_features else None
        self.own, self.sizes = own, (width, K, d_model)
        self._initialise()

    def _initialise(self) -> None:
        width, K, d_model = self.sizes
        with torch.no_grad():
            nn.init.zeros_(self.linear.bias)
            nn.init.normal_(self.linear.weight, std=NEIGHBOURS * (K * d_model) ** -0.5)
            passing = nn.init.orthogonal_(torch.empty(width, d_model, device=self.linear.weight.device))
            self.linear.weight.view(self.sizes)[:, self.own] += passing * max(1.0, d_model / width) ** 0.5

    def forward(self, rows: Tensor, features: Tensor | None) -> Tensor:
        """Stacked rows [..., K, D] and features [..., K, J] or None -> [..., width]."""
        mixed = self.linear(rows.flatten(-2))
        return mixed if self.expansion is None or features is None else mixed + self.expansion(features.flatten(-2))


class DepthwiseMix(Layer):
    """z = P (sum_k a_k * x_k) + W phi + b, weights a_k per channel; P only if the width changes [inferred, cheap]."""

    def __init__(self, d_model: int, width: int, K: int, num_features: int, own: int = -1) -> None:
        super().__init__()
        self.own, self.taps, self.bias = own, nn.Parameter(torch.empty(K, d_model)), nn.Parameter(torch.empty(width))
        self._initialise()
        self.project = nn.Linear(d_model, width, bias=False) if width != d_model else None
        self.expansion = nn.Linear(K * num_features, width, bias=False) if num_features else None

    def _initialise(self) -> None:
        with torch.no_grad():
            self.taps.normal_().mul_(NEIGHBOURS * len(self.taps) ** -0.5)[self.own] += 1
            self.bias.zero_()

    def forward(self, rows: Tensor, features: Tensor | None) -> Tensor:
        """Stacked rows [..., K, D] and features [..., K, J] or None -> [..., width]."""
        mixed = rows[..., 0, :] * self.taps[0]
        for k in range(1, self.taps.shape[0]):
            mixed = torch.addcmul(mixed, rows[..., k, :], self.taps[k])
        mixed = mixed + self.bias if self.project is None else self.project(mixed) + self.bias
        return mixed if self.expansion is None or features is None else mixed + self.expansion(features.flatten(-2))


class NoMix(nn.Module):
    """Returns the selected element unchanged and ignores time differences; only for K = 1 and an unchanged width."""

    def __init__(self, d_model: int, width: int, K: int, num_features: int, own: int = -1) -> None:
        super().__init__()
        if K != 1 or width != d_model:
            raise ConfigError(
                f'mix="none" keeps one element of {d_model} channels, found K = {K} and a branch width of {width}; '
                f"set K=1 and branch_width={d_model}, or choose another mix"
            )

    def forward(self, rows: Tensor, features: Tensor | None) -> Tensor:
        """Stacked rows [..., 1, D] -> [..., D]."""
        return rows.squeeze(-2)


MIX: dict[str, Callable[[int, int, int, int, int], nn.Module]] = {
    "full": FullMix,
    "depthwise": DepthwiseMix,
    "none": NoMix,
}
"""`SeRpEntConfig.mix` -> module, built from d_model, width, K, number of features and the selected element's index."""
