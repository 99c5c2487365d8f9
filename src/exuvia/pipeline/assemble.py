"""Assembles a pipeline from trained parts."""

from collections.abc import Mapping

from exuvia.checkpoint import provenance
from exuvia.config import to_dict
from exuvia.features.normaliser import Normaliser
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.pipeline.settings import GenerationConfig, PipelineFacts
from exuvia.sequence.base import BaseGenerator
from exuvia.sequence.length import LengthEstimator, OwnLength
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.text.base import TextEncoder
from exuvia.tokens.rvqvae import RVQVAE


def assemble(
    tokenizer: RVQVAE,
    normaliser: Normaliser,
    base: BaseGenerator,
    residual: ResidualTransformer,
    length: LengthEstimator | OwnLength,
    text: TextEncoder,
    *,
    pooled: bool,
    generation: GenerationConfig | None = None,
    facts: Mapping[str, object] | None = None,
    representation: str = "humanml3d",
) -> MotionPipeline:
    """Assemble a pipeline; `representation` is the registry name of the tokenizer's feature layout."""
    about: PipelineFacts = {
        "text": {"name": text.name, "fingerprint": text.fingerprint, "pooled": pooled},
        "generation": to_dict(generation or GenerationConfig()),
    }
    if representation != "humanml3d":  # the default of folders without a name
        about["representation"] = representation
    history = provenance(**(facts or {}), edits=[])
    for module in (tokenizer, base, residual, length):
        module.eval().requires_grad_(False)
    return MotionPipeline(tokenizer, base, residual, length, normaliser, text, about, history)
