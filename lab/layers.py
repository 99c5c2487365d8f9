"""Measures the cost of a SeRpEnt layer relative to a plain layer of equal width."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from exuvia_ssm.registry import LAYER, resolve
from lab.cells import Cell
from lab.ledger.numbers import Number
from lab.results import Results
from lab.roofline import PASSES, Size
from lab.scan_numbers import cell_numbers, times_faster, worst
from lab.workload import Method, Work

TABLE = "lab.layers:LAYERS"
SIZES = (Size(16, 196, 256, 16), Size(4, 1024, 256, 16), Size(8, 2048, 128, 16), Size(1, 8192, 256, 16))
"""The longest motions of HumanML3D, then longer ones. D is the layer's width."""
QUARTER = (0.25,)


def layer(name: str, options: Callable[[int], Mapping[str, Any]] = lambda _: {}) -> Callable[[Size, str], Work]:
    """Return a registered layer as work: x [B, L, D], gradients of x and of all parameters.

    Args:
        name: a key of exuvia_ssm.registry.LAYER
        options: width -> settings of the layer
    """

    def build(size: Size, device: str) -> Work:
        torch.manual_seed(0)
        module: nn.Module = resolve(LAYER, name, "state-space layer")(size.D, **options(size.D)).to(device)
        x = torch.randn(size.B, size.L, size.D, generator=torch.Generator().manual_seed(2)).to(device)
        x.requires_grad_()
        facts = {"parameters": float(sum(p.numel() for p in module.parameters()))}
        if name == "serpent":
            with torch.no_grad():
                branches: Any = module.resampling(x)  # type: ignore[operator]
            facts["kept"] = sum(float(branch.count.float().mean()) for branch in branches) / size.L
        return Work(lambda: module(x), (x, *module.parameters()), facts)

    return build


def serpent(ssm: str, **settings: Any) -> Callable[[Size, str], Work]:
    """Return SeRpEnt over a layer; width=True makes every branch as wide as the layer."""
    full = settings.pop("full_width", False)
    return layer("serpent", lambda d: {"ssm": ssm, **settings, **({"branch_width": d} if full else {})})


LAYERS = {
    "mamba": Method("Mamba", "layer", layer("mamba")),
    "serpent": Method("SeRpEnt", "layer", serpent("mamba")),
    "serpent_full_width": Method("SeRpEnt, full width", "layer", serpent("mamba", full_width=True)),
    "serpent_quarter": Method("SeRpEnt, one quarter", "layer", serpent("mamba", rates=QUARTER)),
    "s4d": Method("S4D", "layer", layer("s4d")),
    "serpent_s4d": Method("SeRpEnt over S4D", "layer", serpent("s4d")),
    "serpent_s4d_full_width": Method("SeRpEnt over S4D, full width", "layer", serpent("s4d", full_width=True)),
    "serpent_s4d_quarter": Method("SeRpEnt over S4D, one quarter", "layer", serpent("s4d", rates=QUARTER)),
}
"""Layers by name; each is compared with the plain layer before it. Rates are 0.5, 0.3, 0.2, or a single 0.25."""

COST = {
    "cost_vs_mamba": ("serpent", "mamba"),
    "cost_vs_mamba.full_width": ("serpent_full_width", "mamba"),
    "single_quarter_vs_mamba": ("serpent_quarter", "mamba"),
    "cost_vs_s4d": ("serpent_s4d", "s4d"),
    "cost_vs_s4d.full_width": ("serpent_s4d_full_width", "s4d"),
    "single_quarter_vs_s4d": ("serpent_s4d_quarter", "s4d"),
}
"""Name in the ledger after "serpent." -> the layer, and the layer by whose time it is divided."""


def layer_numbers(results: Results) -> dict[str, Number]:
    """Return by name after "serpent." the largest cost over the sizes of forward and backward, and every cell.

    `forward.NAME` is the same for the forward pass alone, `parameters.NAME` the ratio of parameter counts.
    """
    found: dict[str, Number | None] = {}
    for name, (layer_name, plain) in COST.items():
        for which in PASSES:
            ratios = times_faster(results, layer_name, plain, which, results.sizes)
            found[name if which == "fwd_bwd" else f"forward.{name}"] = worst(ratios, largest=True)
        counts = [_parameters(results, method) for method in (layer_name, plain)]
        if counts[0] and counts[1]:
            found[f"parameters.{name}"] = Number(counts[0] / counts[1])
    found.update(cell_numbers(results))
    return {name: number for name, number in found.items() if number is not None}


def _parameters(results: Results, method: str) -> float | None:
    cells: list[Cell] = [cell for cell in results.cells if cell.method == method and cell.facts]
    return cells[0].facts["parameters"] if cells else None
