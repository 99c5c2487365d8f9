"""Settings of all trainings, one class per command of `exuvia train`; importing this module does not load PyTorch."""

from dataclasses import field

from exuvia.config import Count, NotNegative, Positive, Share, settings
from exuvia.data.settings import CorpusConfig
from exuvia.judges.settings import ClassifierTaskConfig, EvaluatorConfig, RetrievalTaskConfig
from exuvia.sequence import settings as sequence
from exuvia.tokens.settings import MotionWeights, RVQVAEConfig
from exuvia.train_settings import TrainConfig


@settings
class TokenizerRecipe:
    """Settings of a tokenizer training."""

    out: str = "runs/tokenizer"
    """Run folder."""
    start: str = ""
    """Run folder of a tokenizer whose weights and statistics this training begins with; empty: new weights."""
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    """Data."""
    model: RVQVAEConfig = field(default_factory=RVQVAEConfig)
    """Sizes."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Steps and rates."""
    batch_size: Count = 64
    """Windows per step."""
    frames: tuple[Count, ...] = (64, 32)
    """Window lengths; each batch has one of them. The published length is 64; short clips need a shorter one."""
    frame_shares: tuple[Share, ...] = (0.75, 0.25)
    """Probability of each length."""
    start_share: Share = 0.2
    """Share of windows at the start of a clip: row 0 contains the published yaw jump, and an error there rotates the
    whole recovered clip."""
    variants: bool = False
    """Whether to learn from real clips also backwards, and at four and five quarters of their speed."""
    root_emphasis: Positive = 3.0
    """Factor of the normalised root channels (published: 25, for contacts too; see features/normaliser.py)."""
    contact_emphasis: Positive = 1.0
    """Factor of the normalised contact channels."""
    commit_weight: NotNegative = 0.02
    """Weight of the distance from latents to their codes (published: 0.02)."""
    motion: MotionWeights = field(default_factory=MotionWeights)
    """Losses in metres."""
    validation_clips: Count = 64
    """Number of held-out clips in a validation during training."""


@settings
class CodesRecipe:
    """Common settings of the trainings of models over codes."""

    out: str = "runs/mask"
    """Run folder."""
    start: str = ""
    """Run folder of a model of this kind whose weights this training begins with; empty: new weights."""
    tokenizer: str = "runs/tokenizer"
    """Run folder of the tokenizer whose codes the model learns."""
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    """Data."""
    text: str = "minilm"
    """Caption encoder."""
    pooled: bool = False
    """Whether to condition on one sentence vector, as published, instead of token states."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Steps and rates."""
    batch_size: Count = 64
    """Clips per step."""
    max_steps: Count = 49
    """Longest crop, in code steps."""


@settings
class BaseRecipe(CodesRecipe):
    """Common settings of the trainings of generators of base codes."""

    judge: str = ""
    """Run folder of an evaluator. Every validation then generates motion for held-out captions, and reports r3: the
    share of captions whose motion is among the three nearest of 32. With --train.best r3 the best weights are kept."""


@settings
class MaskRecipe(BaseRecipe):
    """Training of the masked transformer."""

    model: sequence.MaskTransformerConfig = field(default_factory=sequence.MaskTransformerConfig)
    """Sizes."""


@settings
class BAMMRecipe(BaseRecipe):
    """Training of BAMM."""

    out: str = "runs/bamm"
    """Run folder."""
    model: sequence.BAMMConfig = field(default_factory=sequence.BAMMConfig)
    """Sizes."""


@settings
class CausalRecipe(BaseRecipe):
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
class JudgeRecipe:
    """Common settings of the trainings of models that judge motion."""

    out: str = "runs/judge"
    """Run folder."""
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    """Data."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """Steps and rates."""


@settings
class EvaluatorRecipe(JudgeRecipe):
    """Settings of an evaluator training."""

    out: str = "runs/evaluator"
    """Run folder."""
    task: EvaluatorConfig = field(default_factory=EvaluatorConfig)
    """Sizes and losses."""


@settings
class RetrievalRecipe(JudgeRecipe):
    """Settings of a retrieval training."""

    out: str = "runs/retrieval"
    """Run folder."""
    task: RetrievalTaskConfig = field(default_factory=RetrievalTaskConfig)
    """Sizes and losses."""


@settings
class ClassifierRecipe(JudgeRecipe):
    """Settings of a classifier training."""

    out: str = "runs/classifier"
    """Run folder."""
    task: ClassifierTaskConfig = field(default_factory=ClassifierTaskConfig)
    """Sizes and augmentation."""
