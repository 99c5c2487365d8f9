"""Intervals that a stack of layers learned, as its layers compute them."""

from typing import Any

import pytest
import torch

from exuvia.errors import ConfigError
from exuvia.sequence.intervals import learned_intervals
from exuvia.sequence.settings import StackConfig
from exuvia.sequence.stack import Stack


def test_intervals_are_those_of_the_outermost_layers() -> None:
    x = torch.randn(2, 11, 8, generator=torch.Generator().manual_seed(0))
    stack = Stack(StackConfig(8, 3, "serpent")).eval()
    found = learned_intervals(stack, lambda: stack(x))
    assert [tuple(one.shape) for one in found] == [(2, 11)] * 3
    part: Any = stack.parts[0]
    wanted = torch.stack([branch.steps for branch in part.mixer.resampling(part.norm(x))]).mean(0)
    torch.testing.assert_close(found[0], wanted)
    mamba: Any = Stack(StackConfig(8, 1, "mamba"))
    first = mamba.parts[0]
    (steps,) = learned_intervals(mamba, lambda: mamba(x))
    torch.testing.assert_close(steps, first.mixer.step_sizes(first.norm(x)).mean(-1))
    assert not any(layer._forward_pre_hooks for layer in mamba.modules())
    other = Stack(StackConfig(8, 1, "s4d"))
    with pytest.raises(ConfigError, match="no Mamba or SeRpEnt layer"):
        learned_intervals(other, lambda: other(x))
