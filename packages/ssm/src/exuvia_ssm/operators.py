"""Registers PyTorch operators without `torch.library.custom_op`, which would load the compiler at first use."""

from collections.abc import Callable
from typing import Any

import torch

_library = torch.library.Library("exuvia", "FRAGMENT")


def register(
    name: str,
    schema: str,
    function: Callable[..., Any],
    shapes: Callable[..., Any],
    gradient: Callable[..., Any],
    remember: Callable[..., None] | None = None,
) -> None:
    """Register `torch.ops.exuvia.<name>`, differentiable and traceable by torch.compile.

    `schema` is in PyTorch's notation; `shapes` returns empty results; `gradient` maps gradients of results to those of
    arguments, with what `remember` stores.
    """
    _library.define(name + schema, tags=torch.Tag.pt2_compliant_tag)
    _library.impl(name, function, "CompositeExplicitAutograd")
    torch.library.register_fake(f"exuvia::{name}", shapes, lib=_library)
    torch.library.register_autograd(f"exuvia::{name}", gradient, setup_context=remember, lib=_library)
