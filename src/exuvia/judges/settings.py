"""Sizes and trainings of the networks that judge motion; nothing here imports PyTorch."""

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from exuvia.config import Below1, Count, Layers, NotNegative, Positive, Share, settings

VIOLENT = "violent"
ACTIONS = {
    "kick": "kick sidekick roundhouse kickbox",
    "punch": "punch box jab uppercut hook shadowbox",
    "strike": "slash strike stab hit swing chop sword attack",
    "travel": "walk run jog sprint march step sneak stroll pace trot",
    "jump": "jump hop leap skip",
    "throw": "throw toss pitch hurl",
    "dance": "dance salsa waltz ballet",
    "arms": "wave point clap raise gesture draw",
    "low": "sit squat kneel crouch crawl lie",
}
"""Groups of actions, told by the lemmas of captions; learnt beside violence so that the features mean something."""


@settings
class GuoConfig:
    """Sizes; the defaults are the published ones."""

    dim_pose: Count = 263
    """Feature channels C, contacts included."""
    movement_hidden: Count = 512
    """Width of the first convolution."""
    movement_dim: Count = 512
    """Width of a movement (four frames)."""
    motion_hidden: Count = 1024
    """Units a direction of the motion GRU."""
    text_hidden: Count = 512
    """Units a direction of the text GRU."""
    embedding: Count = 512
    """Width of the common space."""
    word_dim: Count = 300
    """Width of a word vector."""
    pos_dim: Count = 15
    """Word classes."""
    max_frames: Count = 196
    """Longest motion; longer ones are cut, shorter ones are seen with zeros up to here."""
    dropout: Below1 = 0.2
    """Of movements, in training."""


@settings
class EvaluatorConfig:
    """Everything that decides an evaluator's training besides the loop."""

    model: GuoConfig = field(
        default_factory=lambda: GuoConfig(
            movement_hidden=256, movement_dim=256, motion_hidden=256, text_hidden=256, embedding=256
        )
    )
    """Sizes; about half of the published, so that one processor core is enough."""
    batch_size: Count = 64
    """Pairs a step."""
    loss: Literal["nce", "margin", "published"] = "nce"
    """nce (cross-entropy over the batch and the margin loss, added), margin (all wrong pairs), or published
    (one random wrong pair a caption)."""
    margin: NotNegative = 10.0
    """Distance of wrong pairs."""
    scale: NotNegative = 0.1
    """Sharpness of the cross-entropy."""
    published_std: bool = True
    """Normalise root and contacts by Std / 25, as the published evaluators were trained."""
    sensors: tuple[str, ...] = ()
    """Only clips of these sensors; empty: all."""
    word_dropout: Share = 0.1
    """Probability that a word is hidden in training."""


@settings
class ClassifierConfig:
    """Sizes."""

    dim_pose: Count = 263
    """Feature channels C."""
    width: Count = 96
    """Channels inside."""
    dilations: tuple[Count, ...] = (1, 2, 4)
    """Of the residual blocks, at half the frame rate."""
    dropout: Below1 = 0.3
    """In blocks and before the outputs."""
    outputs: tuple[str, ...] = (VIOLENT, *ACTIONS)
    """What each logit means; violent comes first."""


@settings
class ClassifierTaskConfig:
    """Everything that decides a classifier's training besides the loop."""

    model: ClassifierConfig = field(default_factory=ClassifierConfig)
    """Sizes."""
    batch_size: Count = 64
    """Clips a step, a quarter of them violent."""
    max_frames: Count = 196
    """Longest crop."""
    noise: NotNegative = 0.2
    """Deviation of the noise added to normalised features."""
    smoothing: Share = 0.5
    """Probability that a crop is smoothed over time, as generated motion is."""
    label_smoothing: Share = 0.05
    """Targets are drawn this far from 0 and 1, which keeps probabilities, and so the threshold, off the ends."""
    action_weight: NotNegative = 0.3
    """Weight of the action groups beside violence."""
    sensors: tuple[str, ...] = ()
    """Only clips of these sensors; empty: all."""
    false_rate: Share = 0.05
    """Share of peaceful validation clips that the threshold may take for violent."""


@settings
class RetrievalConfig:
    """Sizes; the published ones are 256, 1024, 6, 4 with a decoder of 6 layers."""

    dim_pose: Count = 263
    """Features of a frame."""
    text_dim: Count = 384
    """Width of a caption token's state."""
    latent_dim: Count = 128
    """Width of the space."""
    inner_width: Count = 384
    """Width of the feed-forward layers."""
    num_layers: Layers = 4
    """Layers of each encoder."""
    decoder_layers: Layers = 2
    """Layers of the decoder."""
    num_heads: Count = 4
    """Attention heads."""
    dropout: Below1 = 0.1
    """In training."""
    max_frames: Count = 196
    """Longer motions are cut."""


@settings
class RetrievalTaskConfig:
    """Everything that decides a retrieval model's training besides the loop; weights of losses are the published."""

    model: RetrievalConfig = field(default_factory=RetrievalConfig)
    """Sizes."""
    batch_size: Count = 32
    """Pairs a step."""
    text: str = "minilm"
    """Caption encoder."""
    sensors: tuple[str, ...] = ()
    """Only clips of these sensors; empty: all."""
    reconstruction: NotNegative = 1.0
    """Weight of decoding the motion from either latent."""
    kl: NotNegative = 1e-5
    """Weight of the divergences between the latents' distributions, and from the normal one."""
    latent: NotNegative = 1e-5
    """Weight of the distance of a pair's latents."""
    contrast: NotNegative = 0.1
    """Weight of the contrastive loss."""
    temperature: Positive = 0.1
    """Temperature of the contrastive loss."""
    threshold: Annotated[float, Field(ge=-1, le=1)] = 0.8
    """Captions more alike than this are no wrong pairs."""
