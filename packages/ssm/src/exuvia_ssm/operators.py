"""PyTorch operators of our own, by the plain interface: `torch.library.custom_op` loads the compiler at first use."""

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
    """Make `torch.ops.exuvia.<name>`: differentiable, and traceable by torch.compile.

    Args:
        schema: arguments and results, as PyTorch writes them
        function: what it does; shapes: what results look like, from the same arguments
        gradient: of its results -> of its arguments; remember: what is kept for it
    """
    _library.define(name + schema, tags=torch.Tag.pt2_compliant_tag)
    _library.impl(name, function, "CompositeExplicitAutograd")
    torch.library.register_fake(f"exuvia::{name}", shapes, lib=_library)
    torch.library.register_autograd(f"exuvia::{name}", gradient, setup_context=remember, lib=_library)
