"""Cases 09_selective_scan: values, last state and gradients of the published scan, in its layout [B, D, L]."""

from typing import Any

import torch
from torch import Tensor

from exuvia_ssm import selective_scan
from lab.parity.case import Case


def selective_scan_case(case: Case, backend: str | None = None) -> dict[str, Tensor]:
    """Every sub-case: `<name>.out.*` and `<name>.grad.*`, by one backend of the scan (None: the fastest)."""
    found: dict[str, Tensor] = {}
    for name, options in case.config["subcases"].items():
        given = {k: v.requires_grad_(k != "upstream") for k, v in case.group(f"{name}.in.").items()}
        y, state = _scan(given, options, backend)
        found[f"{name}.out.y"], found[f"{name}.out.last_state"] = y.detach(), state.detach()
        leaves = [k for k in given if k != "upstream"]
        grads = torch.autograd.grad(y, [given[k] for k in leaves], given["upstream"])
        found |= {f"{name}.grad.{k}": grad for k, grad in zip(leaves, grads, strict=True)}
    return found


def _scan(given: dict[str, Tensor], options: dict[str, Any], backend: str | None) -> tuple[Tensor, Tensor]:
    """y [B, D, L] and last state [B, D, N] of one sub-case."""
    gate = given["z"].mT if options["z"] else None
    bias = given.get("delta_bias") if options["delta_bias"] else None
    skip = given.get("D") if options["D"] else None
    found = selective_scan(
        given["u"].mT,
        given["delta"].mT,
        given["A"],
        _steps_second(given["B"]),
        _steps_second(given["C"]),
        skip,
        gate,
        bias,
        dt_softplus=options["delta_softplus"],
        return_state=True,
        backend=backend,
    )
    return found[0].mT, found[1]


def _steps_second(given: Tensor) -> Tensor:
    """B or C: [B, N, L] -> [B, L, N], [B, G, N, L] -> [B, L, G, N]; [D, N] as it is."""
    return given if given.dim() == 2 else given.movedim(-1, 1)
