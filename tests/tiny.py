"""A tiny generator with random weights, for tests that need a whole pipeline and no quality."""

from typing import Any

import numpy as np
import torch

from exuvia.features.normaliser import Normaliser
from exuvia.pipeline.assemble import assemble
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.pipeline.settings import GenerationConfig
from exuvia.sequence.length import LengthEstimator
from exuvia.sequence.mask_transformer import MaskTransformer
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.sequence.settings import (
    Backbone,
    LengthEstimatorConfig,
    MaskTransformerConfig,
    ResidualTransformerConfig,
    SerpentSettings,
)
from exuvia.text.hashed import HashedText
from exuvia.tokens.quantiser import SeededDraws
from exuvia.tokens.rvqvae import RVQVAE
from exuvia.tokens.settings import RVQVAEConfig

CODES, LEVELS = 32, 3
BACKBONES = {
    "transformer": Backbone(),
    "mamba": Backbone("mamba"),
    "s4d": Backbone("s4d"),
    "serpent": Backbone("serpent"),
    "serpent-s4d": Backbone("serpent", SerpentSettings(over="s4d")),
    "serpent-depthwise": Backbone("serpent", SerpentSettings(rates=(1.0, 0.5), mix="depthwise")),
}


def tiny_tokenizer() -> RVQVAE:
    """Width 8, 3 levels of 32 codes, codebooks drawn from noise."""
    torch.manual_seed(0)
    model = RVQVAE(RVQVAEConfig(num_codes=CODES, code_dim=8, num_quantizers=LEVELS, width=8, depth=1, dropout=0.0))
    for step in range(2):
        model.train()(torch.randn(8, 64, 263), SeededDraws(torch.Generator().manual_seed(step)))
    return model.eval()


def tiny_pipeline(**base: Any) -> MotionPipeline:
    """All parts of a generator at width 16."""
    text = HashedText()
    sizes: dict[str, Any] = {
        "num_codes": CODES,
        "code_dim": 8,
        "width": 16,
        "inner_width": 16,
        "num_layers": 1,
        "num_heads": 2,
        "text_dim": text.dim,
        "table_length": 64,
    }
    mean, std = np.zeros(263, np.float32), np.full(263, 0.05, np.float32)
    mean[3] = 0.9
    torch.manual_seed(0)
    return assemble(
        tiny_tokenizer(),
        Normaliser(mean, std),
        MaskTransformer(MaskTransformerConfig(**sizes | base)),
        ResidualTransformer(ResidualTransformerConfig(**sizes, num_quantizers=LEVELS)),
        LengthEstimator(LengthEstimatorConfig(text_dim=text.dim, hidden=(16,))),
        text,
        pooled=False,
        generation=GenerationConfig(steps=4),
    )
