"""Expands a time difference in Gaussians, one per centre."""

import torch
from torch import Tensor, nn

from exuvia_ssm.errors import ConfigError


class GaussianBasis(nn.Module):
    """phi_j(u) = exp(-(u - c_j)^2 / (2 s^2)), J centres c_j evenly spaced over [low, high].   (S5)

    SeRpEnt expands time differences in a Gaussian basis [rando2025serpent]; number, range and width of the Gaussians
    are inferred. ``width`` s is in grid intervals; None is the distance between centres, so that neighbours overlap
    and the sum is nearly flat. Raises ConfigError for fewer than one centre or a width that is not positive.
    """

    centres: Tensor

    def __init__(self, num_centres: int, low: float, high: float, width: float | None = None) -> None:
        super().__init__()
        if num_centres < 1:
            raise ConfigError(f"found {num_centres} Gaussian centres; expected at least 1")
        spacing = (high - low) / max(1, num_centres - 1)
        self.width = spacing if width is None else float(width)
        if not self.width > 0:
            raise ConfigError(f"found a Gaussian width of {width!r}; expected a positive number of grid intervals")
        self.register_buffer("centres", torch.linspace(low, high, num_centres), persistent=False)

    def forward(self, differences: Tensor) -> Tensor:
        """Differences [...] -> [..., J], in the same dtype."""
        scaled = (differences.unsqueeze(-1) - self.centres.to(differences.dtype)) * (0.5**0.5 / self.width)
        return torch.exp(-scaled.square())
