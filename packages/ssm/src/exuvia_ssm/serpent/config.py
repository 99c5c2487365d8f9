"""Settings of a SeRpEnt layer, each with its source."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from exuvia_ssm.errors import ConfigError
from exuvia_ssm.registry import suggest
from exuvia_ssm.serpent.resample import check_rate

CHOICES = {
    "intervals": ("learned", "uniform"),
    "neighbours": ("trailing", "nearest"),
    "expansion": ("gaussian", "none"),
    "mix": ("full", "depthwise", "none"),
    "restore": ("hold", "linear", "blank"),
    "combine": ("linear", "none"),
}


@dataclass(frozen=True)
class SeRpEntConfig:
    """Settings of a SeRpEnt layer; [inferred] marks details that the figures do not show.

    Raises ConfigError for invalid or incompatible values.
    """

    d_model: int
    """channels D"""
    ssm: str | Callable[[int], nn.Module] = "mamba"
    """layer of each branch: a name of registry.LAYER, or a function width -> layer"""
    ssm_options: Mapping[str, Any] = field(default_factory=dict)
    """settings of the named layer, such as {"d_state": 16}"""
    rates: tuple[float, ...] = (0.5, 0.3, 0.2)
    """kappa of every branch: the minimum share of elements that are kept (Fig. 3)"""
    K: int = 3
    """elements stacked at each grid time (Fig. 2)"""
    branch_width: int | None = None
    """channels of each branch's layer; None = about d_model / branches, so the branches together have about as many
    parameters as one plain layer [inferred]"""
    intervals: str = "learned"
    """"learned"; or "uniform": every interval is kappa (ablation)"""
    interval_bias: float = -3.0
    """initial b: sigmoid(-3) = 0.05, so M starts near kappa L, and the slope, 0.045, is a fifth of its maximum
    [inferred]"""
    phase: float = 0.0
    """time before the first element, in [0, 1); Fig. 2 starts at 0"""
    neighbours: str = "trailing"
    """"trailing": as drawn, causal; "nearest": nearest in time, as the caption says, not causal [inferred]"""
    expansion: str = "gaussian"
    """"gaussian" or "none": phi of the time differences in (S6) and (S7) [place inferred]"""
    num_centres: int = 8
    """number of Gaussians J [inferred]"""
    centre_width: float | None = None
    """width of a Gaussian in grid intervals; None = the distance between centres [inferred]"""
    mix: str = "full"
    """"full": linear map of the stack (Fig. 2); "depthwise": one filter per channel (cheap); "none": K = 1 only"""
    restore: str = "hold"
    """"hold": repeat the last value, causal; "linear": interpolate, not causal; "blank": as drawn, causal [inferred]"""
    combine: str = "linear"
    """"linear": a map of the concatenated branches [inferred]; "none": only for one branch of full width"""
    skip: bool = True
    """add the input (Fig. 3)"""
    causal: bool = True
    """require that no output depends on a later input; settings that violate it are refused (the branches' layer is
    assumed to be causal)"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rates", tuple(check_rate(rate) for rate in self.rates))
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"unknown {name} {getattr(self, name)!r}; {suggest(str(getattr(self, name)), known)}")
        if not self.rates:
            raise ConfigError("found no compression rate; expected at least one, such as rates=(0.5, 0.3, 0.2)")
        if self.d_model < 1 or self.K < 1 or self.width < 1:
            raise ConfigError(
                f"found d_model = {self.d_model}, K = {self.K}, branch_width = {self.branch_width}; expected at least 1"
            )
        if not 0 <= self.phase < 1:
            raise ConfigError(f"found phase = {self.phase}; expected 0 <= phase < 1 grid interval")
        if self.causal and (self.neighbours != "trailing" or self.restore == "linear"):
            raise ConfigError(
                f"neighbours={self.neighbours!r} with restore={self.restore!r} depends on later elements; "
                'choose "trailing" and "hold" or "blank", or set causal=False'
            )
        if self.combine == "none" and (len(self.rates) != 1 or self.width != self.d_model):
            raise ConfigError(
                f'combine="none" takes one branch of {self.d_model} channels, found {len(self.rates)} of {self.width}; '
                f"set one rate and branch_width={self.d_model}"
            )

    @property
    def width(self) -> int:
        """Channels of each branch: d_model / branches, rounded to a multiple of 8 from 16 on (vector units)."""
        if self.branch_width is not None:
            return self.branch_width
        share = self.d_model / len(self.rates)
        return max(1, round(share)) if share < 16 else 8 * round(share / 8)

    @property
    def num_features(self) -> int:
        """Length J of phi, 0 without expansion."""
        return self.num_centres if self.expansion == "gaussian" else 0
