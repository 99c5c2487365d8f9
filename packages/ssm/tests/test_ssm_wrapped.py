"""A Linear or Conv1d of any layer may be wrapped, replaced, hooked or parametrised: it is called, never bypassed."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from exuvia_ssm.bidirectional import Bidirectional
from exuvia_ssm.mamba.mamba import S6, Mamba
from exuvia_ssm.s4d.s4d import S4D
from exuvia_ssm.serpent.serpent import SeRpEnt

BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "s6": lambda: S6(6, d_state=4),
    "mamba": lambda: Mamba(6, d_state=4, bias=True),
    "s4d": lambda: S4D(6, d_state=4),
    "serpent": lambda: SeRpEnt(6, rates=(0.7, 0.4), branch_width=4, ssm="s6", ssm_options={"d_state": 4}),
    "serpent depthwise": lambda: SeRpEnt(6, rates=(0.6,), branch_width=4, ssm="s4d", mix="depthwise", restore="blank"),
    "bidirectional": lambda: Bidirectional(6, merge="linear", ssm="s6", ssm_options={"d_state": 4}),
}
PLACES = [
    (kind, name)
    for kind, build in BUILDERS.items()
    for name, module in build().named_modules()
    if type(module) in (nn.Linear, nn.Conv1d)
]
everywhere = pytest.mark.parametrize(("kind", "name"), PLACES)


class Adapter(nn.Module):
    """A layer plus a small change; like a quantised layer, it has no readable weight."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base, self.change = base, copy.deepcopy(base)
        self.change.bias = None
        nn.init.normal_(self.change.weight, std=0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.change(x)


def layer(kind: str) -> Any:
    torch.manual_seed(0)
    model = BUILDERS[kind]().eval()
    for part in model.modules():
        if isinstance(part, S6 | Mamba):
            part.dt_proj.bias.data += 3  # steps large enough to show
    return model


def placed(model: nn.Module, name: str, module: nn.Module) -> None:
    above, _, last = name.rpartition(".")
    setattr(model.get_submodule(above), last, module)


def everything(model: Any, grad: bool = True) -> list[Tensor]:
    """What a layer gives as a whole, with a mask, in two pieces, and step by step."""
    x = torch.randn(2, 11, 6, generator=torch.Generator().manual_seed(1))
    with torch.set_grad_enabled(grad):
        found = [model(x), model(x, torch.rand(2, 11, generator=torch.Generator().manual_seed(2)) > 0.4)]
        if isinstance(model, Bidirectional):
            return found
        first, state = model(x[:, :5], return_state=True)
        found.append(torch.cat([first, model(x[:, 5:], state=state)], 1))
        state, steps = model.initial_state(2), []
        for x_t in x.unbind(1):
            y, state = model.step(x_t, state)
            steps.append(y)
        return [*found, torch.stack(steps, 1)]


def agree(found: list[Tensor], wanted: list[Tensor]) -> None:
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5)


@everywhere
def test_a_wrapped_module_counts_like_its_merged_weight(kind: str, name: str) -> None:
    model = layer(kind)
    before = everything(model)
    wrapper = Adapter(model.get_submodule(name))
    merged = copy.deepcopy(model)
    with torch.no_grad():
        merged.get_submodule(name).weight.add_(wrapper.change.weight)
    placed(model, name, wrapper)
    found = everything(model)
    agree(found, everything(merged))
    agree(everything(model, grad=False), everything(merged, grad=False))
    assert not torch.allclose(found[0], before[0], atol=1e-4)
    for y in found[:-1] if name == "interval" else found:  # step() says that it trains no intervals
        (gradient,) = torch.autograd.grad(y.square().sum(), wrapper.change.weight, retain_graph=True)
        assert gradient.abs().max() > 0


@everywhere
def test_hooks_and_parametrised_weights_count(kind: str, name: str) -> None:
    class Doubled(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    model, merged, seen = layer(kind), layer(kind), []
    merged.get_submodule(name).weight.data *= 2
    handle = model.get_submodule(name).register_forward_hook(lambda *call: seen.append(call[2]))
    agree(everything(model), everything(layer(kind)))
    assert len(seen) >= 2
    handle.remove()
    parametrize.register_parametrization(model.get_submodule(name), "weight", Doubled())
    agree(everything(model), everything(merged))


@pytest.mark.parametrize("kind", BUILDERS)
def test_the_dtype_and_state_of_a_wrapped_layer(kind: str) -> None:
    """All wrapped at once, in half precision and under autocast, as adapters are trained."""
    model = layer(kind)
    for _, name in (place for place in PLACES if place[0] == kind):
        placed(model, name, Adapter(model.get_submodule(name)))
    x = torch.randn(2, 9, 6)
    wanted = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        low = model(x)
    half = copy.deepcopy(model).bfloat16()(x.bfloat16())
    for y in (low, half):
        assert (y.float() - wanted).abs().max() < 0.15 * wanted.abs().max()
    state = model.initial_state(2)
    assert len(model(x, state=state, return_state=True)) == 2
    assert model(torch.zeros(0, 9, 6)).shape == (0, 9, 6)
    assert model(torch.zeros(2, 0, 6)).shape == (2, 0, 6)


def test_kept_tables_belong_to_the_weights_of_the_call() -> None:
    """Weights that come and go at one address, as with functional_call, once gave each other's output."""
    model, x = S4D(64, d_state=2, output="none").eval(), torch.ones(1, 1, 64)
    model.D.data.zero_()
    found = []
    for size in range(60):
        weight = 1.1**size * model.kernel.C.detach()
        with torch.no_grad():
            found.append(torch.func.functional_call(model, {"kernel.C": weight}, (x,)).norm() / 1.1**size)
        del weight
    torch.testing.assert_close(torch.stack(found), found[0].expand(60))
