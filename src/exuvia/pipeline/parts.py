"""Loads the models and statistics of a pipeline folder; the sizes of models are checked against the weights.

In older folders, such as the shipped `base`, the generator of base codes is named `mask`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from exuvia.checkpoint import built, load_tensors
from exuvia.config import from_dict
from exuvia.errors import CheckpointError
from exuvia.features.normaliser import Normaliser
from exuvia.sequence.base import BaseGenerator
from exuvia.sequence.generators import build_generator
from exuvia.sequence.length import LengthEstimator, OwnLength, build_length
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.sequence.settings import ResidualTransformerConfig
from exuvia.tokens.rvqvae import RVQVAE
from exuvia.tokens.settings import RVQVAEConfig

T = TypeVar("T")


def renamed(values: Mapping[str, T]) -> dict[str, T]:
    """Rename `mask` and `mask.x` to `base` and `base.x`; other names stay."""
    return {"base" + name[4:] if name.partition(".")[0] == "mask" else name: value for name, value in values.items()}


def weights_path(folder: Path, part: str) -> Path:
    """File of a part's weights in a pipeline folder."""
    path, older = folder / f"{part}.safetensors", folder / "mask.safetensors"
    return older if part == "base" and older.exists() and not path.exists() else path


Module = TypeVar("Module", bound=nn.Module)
PARTS = ("tokenizer", "base", "residual", "length")
"""The models of a pipeline; each has one file of weights."""


def load_parts(
    folder: Path, config: Mapping[str, Any], device: str
) -> tuple[RVQVAE, BaseGenerator, ResidualTransformer, LengthEstimator | OwnLength]:
    """Load the models of `PARTS`, in evaluation mode.
    Raises CheckpointError for weights that are missing, damaged or do not fit, ConfigError for invalid sizes."""

    def part(name: str, make: Callable[[Any], Module]) -> Module:
        weights = load_tensors(weights_path(folder, name))
        module = built(lambda: make(config[name]), weights, f"the {name} of {folder}")
        return module.eval().requires_grad_(False).to(device)

    return (
        part("tokenizer", lambda sizes: RVQVAE(from_dict(RVQVAEConfig, sizes))),
        part("base", build_generator),
        part("residual", lambda sizes: ResidualTransformer(from_dict(ResidualTransformerConfig, sizes))),
        part("length", build_length),
    )


def load_normaliser(folder: Path, channels: int) -> Normaliser:
    """Load mean and deviation of the features. Raises CheckpointError or ShapeError."""
    path = folder / "normaliser.safetensors"
    scale = load_tensors(path)
    shapes = {name: tuple(scale[name].shape) for name in ("mean", "std") if name in scale}
    if shapes != {"mean": (channels,), "std": (channels,)} or not all(v.is_floating_point() for v in scale.values()):
        raise CheckpointError(f"{path} holds {shapes}, expected mean and std of {channels} channels")
    return Normaliser(scale["mean"].float().numpy(), scale["std"].float().numpy())
