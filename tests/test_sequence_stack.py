"""Stacks of attention, S4D, Mamba and SeRpEnt: causality, padding, states, equal sizes."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from exuvia.errors import ConfigError
from exuvia.sequence.settings import StackConfig
from exuvia.sequence.stack import Stack
from exuvia_ssm import optim_groups
from lab.stack import RotaryAttention, build_stack, of_equal_size, parameters, rotated
from lab.variant import NAMES, parse_variant


def stack(mixer: str, causal: bool = True, width: int = 16) -> Stack:
    """A small stack with fixed weights."""
    torch.manual_seed(0)
    return build_stack(config(mixer, causal, width, state=4)).eval()


def config(name: str, causal: bool, width: int, state: int = 16) -> StackConfig:
    """Two layers of a mixer by the name that comparisons have for it."""
    made = parse_variant(name)
    return StackConfig(width, 2, made.mixer, causal, state, serpent=made.serpent)


def inputs(L: int = 24) -> Tensor:
    return torch.randn(2, L, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("mixer", NAMES)
def test_causal_stacks_do_not_see_the_future(mixer: str) -> None:
    model, x = stack(mixer), inputs()
    for t in (5, 17):
        other = x.clone()
        other[:, t:, 0] += 2  # not all channels alike: the norm would take that off
        torch.testing.assert_close(model(other)[:, :t], model(x)[:, :t], atol=1e-5, rtol=1e-5)
        assert not torch.allclose(model(other)[:, t], model(x)[:, t], atol=1e-3)


@pytest.mark.parametrize("mixer", NAMES)
def test_the_others_see_everything(mixer: str) -> None:
    model, x = stack(mixer, causal=False), inputs()
    other = x.clone()
    other[:, -6:, 0] += 3  # of the last six elements SeRpEnt keeps at least one
    assert (model(other) - model(x))[:, 0].abs().max() > 1e-7


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("mixer", NAMES)
def test_padding_changes_nothing(mixer: str, causal: bool) -> None:
    model, x = stack(mixer, causal), inputs()
    valid = torch.arange(24)[None] < torch.tensor([24, 15])[:, None]
    padded = torch.where(valid[..., None], x, 7.0)
    alone = model(x[1:, :15])
    torch.testing.assert_close(model(padded, valid)[1:, :15], alone, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("mixer", [m for m in NAMES if m != "transformer"])
def test_pieces_with_their_state_are_the_whole(mixer: str) -> None:
    model, x = stack(mixer), inputs()
    first, state = model.carried(x[:, :10])
    second, _ = model.carried(x[:, 10:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), model(x), atol=2e-5, rtol=1e-4)


def test_attention_and_bidirectional_stacks_have_no_state() -> None:
    for model in (stack("transformer"), stack("mamba", causal=False)):
        assert not model.carries_state
        with pytest.raises(ConfigError, match="keeps no state"):
            model.carried(inputs())


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("mixer", NAMES)
def test_equal_sizes_are_equal(mixer: str, causal: bool) -> None:
    equal = of_equal_size(config(mixer, causal, 8), 150_000)
    assert parameters(equal) == pytest.approx(150_000, rel=0.08)


def test_rotary_scores_depend_on_distances_only() -> None:
    q, k = torch.randn(2, 1, 1, 1, 8).expand(2, 1, 1, 12, 8)
    scores = rotated(q)[0, 0] @ rotated(k)[0, 0].T
    for offset in (-3, 0, 4):
        line = scores.diagonal(offset)
        torch.testing.assert_close(line, line[:1].expand_as(line), atol=1e-5, rtol=1e-4)


def test_a_row_without_any_key_is_finite() -> None:
    layer = RotaryAttention(16, 2, causal=False)
    valid = torch.zeros(1, 5, dtype=torch.bool)
    assert layer(torch.randn(1, 5, 16), valid).isfinite().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mixer": "mambo"}, "did you mean 'mamba'"),
        ({"layers": 0}, "found layers 0, expected 1 to 256"),
        ({"dropout": 1.0}, "found dropout 1.0, expected at least 0 and below 1"),
        ({"mixer": "transformer", "width": 12}, "expected a multiple of 8"),
    ],
)
def test_bad_settings_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_stack(replace(StackConfig(16), **change))  # type: ignore[arg-type]


def test_dynamics_of_s4d_learn_slower() -> None:
    fast, slow = optim_groups(stack("s4d"), 0.01, 0.05)
    assert (slow["lr"], slow["weight_decay"]) == (0.001, 0.0)
    assert len(slow["params"]) == 2 * 3
    assert fast["lr"] == 0.01
