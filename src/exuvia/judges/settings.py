"""Sizes and training settings of the networks that judge motion; importing this module does not load PyTorch."""

from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from exuvia.config import Below1, Count, Layers, NotNegative, Positive, Share, settings
from exuvia.readers import read_toml

VIOLENT = "violent"
ACTIONS: dict[str, str] = read_toml(Path(__file__).with_name("actions.toml"))
"""Groups of actions and the lemmas that name them in captions. The classifier learns them as auxiliary targets."""


@settings
class GuoConfig:
    """Sizes of the evaluator; the defaults are the published ones."""

    dim_pose: Count = 263
    """Number of feature channels C, including contacts."""
    movement_hidden: Count = 512
    """Width of the first convolution."""
    movement_dim: Count = 512
    """Width of a movement (four frames)."""
    motion_hidden: Count = 1024
    """Units of the motion GRU in each direction."""
    text_hidden: Count = 512
    """Units of the text GRU in each direction."""
    embedding: Count = 512
    """Width of the common space."""
    word_dim: Count = 300
    """Width of a word vector."""
    pos_dim: Count = 15
    """Number of word classes."""
    max_frames: Count = 196
    """Length to which longer motions are cut and shorter ones are padded."""
    dropout: Below1 = 0.2
    """Dropout rate of movements."""


@settings
class EvaluatorConfig:
    """Settings of an evaluator's training, except the loop."""

    model: GuoConfig = field(
        default_factory=lambda: GuoConfig(
            movement_hidden=256, movement_dim=256, motion_hidden=256, text_hidden=256, embedding=256
        )
    )
    """Sizes; about half of the published ones, which suits a single processor core."""
    batch_size: Count = 64
    """Pairs per step."""
    loss: Literal["nce", "margin", "published"] = "nce"
    """Loss: nce (sum of the cross-entropy over the batch and the margin loss), margin (over all wrong pairs), or
    published (one random wrong pair per caption)."""
    margin: NotNegative = 10.0
    """Minimum distance of wrong pairs."""
    scale: NotNegative = 0.1
    """Sharpness of the cross-entropy."""
    published_std: bool = True
    """Whether to normalise root and contacts by Std / 25, like the published evaluators."""
    word_dropout: Share = 0.1
    """Probability that a word is hidden in training."""


@settings
class ClassifierConfig:
    """Sizes of the classifier."""

    dim_pose: Count = 263
    """Number of feature channels C."""
    width: Count = 96
    """Width of the layers."""
    dilations: tuple[Count, ...] = (1, 2, 4)
    """Dilations of the residual blocks, at half the frame rate."""
    dropout: Below1 = 0.3
    """Dropout rate in blocks and before the outputs."""
    outputs: tuple[str, ...] = (VIOLENT, *ACTIONS)
    """Meanings of the logits; violent comes first."""


@settings
class ClassifierTaskConfig:
    """Settings of a classifier's training, except the loop."""

    model: ClassifierConfig = field(default_factory=ClassifierConfig)
    """Sizes."""
    batch_size: Count = 64
    """Clips per step; a quarter of them is violent."""
    max_frames: Count = 196
    """Longest crop."""
    noise: NotNegative = 0.2
    """Standard deviation of the noise added to normalised features."""
    smoothing: Share = 0.5
    """Probability that a crop is smoothed over time, like generated motion."""
    label_smoothing: Share = 0.05
    """Distance of the targets from 0 and 1, which keeps probabilities and the threshold away from these ends."""
    action_weight: NotNegative = 0.3
    """Weight of the action groups relative to violence."""
    false_rate: Share = 0.05
    """Maximum share of non-violent validation clips above the threshold."""


@settings
class RetrievalConfig:
    """Sizes of the retrieval model; the published ones are 256, 1024, 6, 4 with a decoder of 6 layers."""

    dim_pose: Count = 263
    """Number of feature channels C."""
    text_dim: Count = 384
    """Width of a caption token's state."""
    latent_dim: Count = 128
    """Width of the common space."""
    inner_width: Count = 384
    """Width of the feed-forward layers."""
    num_layers: Layers = 4
    """Number of layers of each encoder."""
    decoder_layers: Layers = 2
    """Number of layers of the decoder."""
    num_heads: Count = 4
    """Number of attention heads."""
    dropout: Below1 = 0.1
    """Dropout rate."""
    max_frames: Count = 196
    """Length to which longer motions are cut."""


@settings
class RetrievalTaskConfig:
    """Settings of a retrieval model's training, except the loop; loss weights are the published ones."""

    model: RetrievalConfig = field(default_factory=RetrievalConfig)
    """Sizes."""
    batch_size: Count = 32
    """Pairs per step."""
    text: str = "minilm"
    """Caption encoder."""
    reconstruction: NotNegative = 1.0
    """Weight of reconstructing the motion from both latents."""
    kl: NotNegative = 1e-5
    """Weight of the divergences between the latents' distributions, and from the standard normal one."""
    latent: NotNegative = 1e-5
    """Weight of the distance between a pair's latents."""
    contrast: NotNegative = 0.1
    """Weight of the contrastive loss."""
    temperature: Positive = 0.1
    """Temperature of the contrastive loss."""
    threshold: Annotated[float, Field(ge=-1, le=1)] = 0.8
    """Similarity above which captions do not form a wrong pair."""
