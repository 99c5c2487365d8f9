"""Parity of the Mamba block: forward, gradients, steps and their states (cases 09_mamba_block*)."""

from typing import Any

import torch

from exuvia_ssm import Mamba
from lab.parity.case import Case

_SIZES = ("d_state", "d_conv", "expand", "dt_rank", "bias", "conv_bias")


def mamba_block(case: Case) -> dict[str, Any]:
    """Output, all gradients, the same output step by step, and states halfway and at the end."""
    layer = Mamba(case.config["d_model"], **{name: case.config[name] for name in _SIZES})
    layer.load_state_dict(case.group("sd."))
    x = case.tensor("in.x").requires_grad_()
    y = layer(x)
    assert isinstance(y, torch.Tensor)
    (y * case.tensor("in.upstream")).sum().backward()
    ours: dict[str, Any] = {"out.y": y.detach(), "out.grad_x": x.grad}
    ours |= {f"out.grad.{name}": parameter.grad for name, parameter in layer.named_parameters()}
    with torch.no_grad():
        state, outputs = layer.initial_state(x.shape[0]), []
        for t in range(x.shape[1]):
            y_t, state = layer.step(x[:, t], state)
            outputs.append(y_t)
            if t == x.shape[1] // 2:
                ours |= {"mid.half.conv_state": state.conv, "mid.half.ssm_state": state.ssm}
    ours |= {"out.step_y": torch.stack(outputs, 1), "out.end.conv_state": state.conv, "out.end.ssm_state": state.ssm}
    return ours
