"""Parity of the S4D kernel, layer and gradients (case 09_s4d)."""

from typing import Any

import torch

from exuvia_ssm import S4D
from lab.parity.case import Case


def s4d(case: Case) -> dict[str, Any]:
    """Kernel, output in both layouts, and all gradients; the case's layout is [B, H, L]."""
    layer = S4D(case.config["d_model"], d_state=case.config["d_state"], dropout=case.config["dropout"])
    layer.load_state_dict(case.group("sd."))
    u = case.tensor("in.u").requires_grad_()
    y = layer(u.transpose(1, 2)).transpose(1, 2)
    (y * case.tensor("in.upstream")).sum().backward()
    with torch.no_grad():
        ours: dict[str, Any] = {
            "out.kernel": layer.kernel(case.config["length"]),
            "out.y": y.detach(),
            "out.y_not_transposed": y.detach().transpose(1, 2),
            "out.grad_u": u.grad,
        }
    return ours | {f"out.grad.{name}": parameter.grad for name, parameter in layer.named_parameters()}
