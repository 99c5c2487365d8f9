"""What users of PyTorch expect of a layer: signature, device and dtype, new initial values, printing, meta device."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from exuvia_ssm import S4D, S6, Bidirectional, Mamba, SeRpEnt
from exuvia_ssm.errors import ConfigError

LAYERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "s6": (S6, {"d_state": 4}),
    "mamba": (Mamba, {"d_state": 4, "bias": True}),
    "s4d": (S4D, {"d_state": 4}),
    "s4d legs": (S4D, {"d_state": 4, "init": "legs"}),
    "s4d real": (S4D, {"d_state": 4, "init": "real", "output": "none"}),
    "serpent": (SeRpEnt, {"rates": (0.7, 0.4)}),
    "serpent depthwise": (SeRpEnt, {"rates": (0.6,), "ssm": "s4d", "mix": "depthwise", "restore": "blank"}),
    "bidirectional": (Bidirectional, {"merge": "linear", "ssm_options": {"d_state": 4}}),
}
everywhere = pytest.mark.parametrize("name", LAYERS)


def layer(name: str, seed: int = 0, **more: Any) -> Any:
    torch.manual_seed(seed)
    kind, options = LAYERS[name]
    return kind(6, **options, **more).eval()


@pytest.mark.parametrize("kind", [S6, Mamba, S4D, SeRpEnt, Bidirectional])
def test_the_signature_has_every_option(kind: Any) -> None:
    parameters = inspect.signature(kind).parameters
    assert not [p for p in parameters.values() if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    config = kind(8).config
    for name in vars(config):
        assert name == "d_model" or parameters[name].default == getattr(config, name), name
    assert {"device", "dtype"} < set(parameters)
    kind(8, **{n: p.default for n, p in parameters.items() if n not in ("d_model", "device", "dtype")})
    with pytest.raises(ConfigError, match=rf"{kind.__name__}: .*'d_stat'; options: d_model, "):
        kind(8, d_stat=3)
    with pytest.raises(ConfigError, match="d_model"):
        kind()
    with pytest.raises(ConfigError, match="multiple values"):
        kind(8, d_model=8)


def test_options_by_position_are_those_of_others() -> None:
    """mamba_simple.py of state-spaces/mamba and s4d.py of state-spaces/s4."""
    assert list(inspect.signature(Mamba).parameters)[:12] == [
        *("d_model", "d_state", "d_conv", "expand", "dt_rank", "dt_min", "dt_max", "dt_init", "dt_scale"),
        *("dt_init_floor", "conv_bias", "bias"),
    ]
    assert Mamba(8, 4, 3, 1).config == Mamba(8, d_state=4, d_conv=3, expand=1).config
    assert (S6(8, 4).config.d_state, S4D(8, 4, 0.5).config.dropout, Bidirectional(8, "s6").config.ssm) == (4, 0.5, "s6")


@everywhere
def test_device_and_dtype(name: str) -> None:
    for dtype in (torch.float64, torch.bfloat16):
        model = layer(name, device="cpu", dtype=dtype)
        assert {p.dtype for p in model.parameters()} == {dtype}
        assert model(torch.randn(2, 9, 6, dtype=dtype)).dtype == dtype
    assert {t.device.type for t in layer(name, device="meta").state_dict().values()} == {"meta"}
    torch.testing.assert_close(layer(name).state_dict(), layer(name, device="cpu").state_dict(), rtol=0, atol=0)


@everywhere
def test_weights_load_into_a_layer_made_without_values(name: str) -> None:
    x, model = torch.randn(2, 20, 6), layer(name)
    bare = layer(name, device="meta").to_empty(device="cpu")
    for t in (*bare.parameters(), *bare.buffers()):  # what stands in fresh memory
        t.data.fill_(float("nan"))
    bare.load_state_dict(model.state_dict())
    torch.testing.assert_close(bare(x), model(x), rtol=0, atol=0)
    assigned = layer(name, device="meta")
    assigned.load_state_dict(model.state_dict(), assign=True)
    torch.testing.assert_close(assigned(x), model(x), rtol=0, atol=0)


@everywhere
def test_new_initial_values(name: str) -> None:
    """As different from the old ones as those of another seed, and of the same distribution."""
    model, other = layer(name, device="meta").to_empty(device="cpu"), layer(name, seed=1)
    with torch.no_grad():
        for t in (*model.parameters(), *model.buffers()):
            t.fill_(1e6)
    torch.manual_seed(2)
    model.reset_parameters()
    fixed = layer(name)
    for key, value in model.state_dict().items():
        wanted, constant = other.state_dict()[key], torch.equal(fixed.state_dict()[key], other.state_dict()[key])
        assert torch.equal(value, wanted) == constant, key
        assert value.abs().max() < 3 * wanted.abs().max() + 1, key
    model(torch.randn(2, 9, 6)).sum().backward()


def test_other_modules_inside_are_reset_too() -> None:
    model = SeRpEnt(6, ssm=lambda width: nn.Sequential(S6(width), nn.Identity()), rates=(1,), K=1)
    model.layers[0][0].D.data.fill_(7)
    model.reset_parameters()
    assert torch.equal(model.layers[0][0].D, torch.ones(6))


@everywhere
def test_printing_shows_the_options(name: str) -> None:
    text = str(layer(name))
    for option, value in LAYERS[name][1].items():
        assert f"{option}={value!r}" in text
    assert "d_model=6" in text
    assert "dropout" not in text


@everywhere
@pytest.mark.parametrize("masked", [False, True])
def test_outputs_may_be_changed_in_place(name: str, masked: bool) -> None:
    model, x = layer(name), torch.randn(2, 20, 6)
    valid = torch.arange(20).expand(2, -1) < torch.tensor([[20], [13]]) if masked else None
    y = model(x, valid)
    kept = y.detach().clone()
    wanted = torch.autograd.grad((2 * model(x, valid) + 1).square().sum(), list(model.parameters()))
    found = torch.autograd.grad(y.mul_(2).add_(1).square().sum(), list(model.parameters()))
    torch.testing.assert_close(found, wanted)
    with torch.no_grad():
        model(x, valid).zero_()
        torch.testing.assert_close(model(x, valid), kept)


SOME: dict[str, Callable[[], nn.Module]] = {
    "mamba": lambda: Mamba(4, d_state=3),
    "s4d": lambda: S4D(4, d_state=4),
    "serpent": lambda: SeRpEnt(4, ssm="s6"),
}


@pytest.mark.parametrize("kind", SOME)
def test_export_for_any_batch_and_length(kind: str) -> None:
    model = SOME[kind]().eval()
    sizes = {0: torch.export.Dim("batch", min=2, max=64), 1: torch.export.Dim("length", min=3, max=4096)}
    program = torch.export.export(model, (torch.randn(3, 40, 4),), dynamic_shapes=(sizes,), strict=False).module()
    for batch, length in ((2, 3), (5, 7), (3, 41), (2, 130)):
        x = torch.randn(batch, length, 4)
        torch.testing.assert_close(program(x), model(x), rtol=1e-4, atol=1e-5)
