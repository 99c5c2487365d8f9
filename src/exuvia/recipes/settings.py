"""Everything that determines a training, one class per command of `exuvia train`; nothing here imports PyTorch."""

from dataclasses import field

from exuvia.config import Count, NotNegative, Positive, Share, settings
from exuvia.data.settings import CorpusConfig
from exuvia.judges.settings import ClassifierTaskConfig, EvaluatorConfig, RetrievalTaskConfig
from exuvia.sequence import settings as sequence
from exuvia.tokens.settings import RVQVAEConfig
from exuvia.train_settings import TrainConfig


@settings
class TokenizerRecipe:
    """Everything that decides a tokenizer training."""

    out: str = "runs/tokenizer"
    """Run folder."""
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    """Data."""
    model: RVQVAEConfig = field(default_factory=RVQVAEConfig)
    """Sizes."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Steps and rates."""
    batch_size: Count = 64
    """Windows a step."""
    frames: tuple[Count, ...] = (64, 32)
    """Window lengths; each batch has one of them. The published length is 64; short clips need the shorter."""
    frame_shares: tuple[Share, ...] = (0.75, 0.25)
    """Probability of each length."""
    start_share: Share = 0.2
    """Share of windows that are the first of their clip: row 0 carries the published yaw jump, and its error turns
    the whole recovered clip."""
    root_emphasis: Positive = 3.0
    """How much larger than one deviation the root channels are made (the published normaliser makes them 25 times
    larger, contacts too: see features/normaliser.py)."""
    contact_emphasis: Positive = 1.0
    """The same for the contacts."""
    path_weight: NotNegative = 0.02
    """Weight of the drift of heading and place over a window."""
    velocity_weight: NotNegative = 0.5
    """Weight of the local positions' change from frame to frame."""
    validation_clips: Count = 64
    """Held-out clips in a validation during training."""


@settings
class CodesRecipe:
    """What the three sequence trainings share."""

    out: str = "runs/mask"
    """Run folder."""
    tokenizer: str = "runs/tokenizer"
    """Run folder of the tokenizer whose codes the model learns."""
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    """Data."""
    text: str = "minilm"
    """Caption encoder."""
    pooled: bool = False
    """Condition on one sentence vector, as published, instead of the encoder's token states."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Steps and rates."""
    batch_size: Count = 64
    """Clips a step."""
    max_steps: Count = 49
    """Longest crop, in code steps."""


@settings
class MaskRecipe(CodesRecipe):
    """Training of the masked transformer."""

    model: sequence.MaskTransformerConfig = field(default_factory=sequence.MaskTransformerConfig)
    """Sizes."""


@settings
class BAMMRecipe(CodesRecipe):
    """Training of BAMM."""

    out: str = "runs/bamm"
    """Run folder."""
    model: sequence.BAMMConfig = field(default_factory=sequence.BAMMConfig)
    """Sizes."""


@settings
class CausalRecipe(CodesRecipe):
    """Training of the autoregressive generator."""

    out: str = "runs/causal"
    """Run folder."""
    model: sequence.CausalConfig = field(default_factory=sequence.CausalConfig)
    """Sizes."""


@settings
class ResidualRecipe(CodesRecipe):
    """Training of the residual transformer."""

    out: str = "runs/residual"
    """Run folder."""
    model: sequence.ResidualTransformerConfig = field(default_factory=sequence.ResidualTransformerConfig)
    """Sizes."""


@settings
class LengthRecipe(CodesRecipe):
    """Training of the length estimator."""

    out: str = "runs/length"
    """Run folder."""
    model: sequence.LengthEstimatorConfig = field(default_factory=sequence.LengthEstimatorConfig)
    """Sizes."""


@settings
class EvaluatorRecipe:
    """Everything that decides an evaluator training."""

    out: str = "runs/evaluator"
    """Run folder."""
    data: tuple[str, ...] = ()
    """Folders made by `exuvia prepare`."""
    task: EvaluatorConfig = field(default_factory=EvaluatorConfig)
    """Sizes and losses."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Steps and rates."""


@settings
class RetrievalRecipe:
    """Everything that decides a retrieval training."""

    out: str = "runs/retrieval"
    """Run folder."""
    data: tuple[str, ...] = ()
    """Folders made by `exuvia prepare`."""
    task: RetrievalTaskConfig = field(default_factory=RetrievalTaskConfig)
    """Sizes and losses."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Steps and rates."""


@settings
class ClassifierRecipe:
    """Everything that decides a classifier training."""

    out: str = "runs/classifier"
    """Run folder."""
    data: tuple[str, ...] = ()
    """Folders made by `exuvia prepare`."""
    task: ClassifierTaskConfig = field(default_factory=ClassifierTaskConfig)
    """Sizes and augmentation."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Steps and rates."""
