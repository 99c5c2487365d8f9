"""How a pipeline samples and joins scenes, and what its folder records; importing this does not load PyTorch."""

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from exuvia.config import Natural, settings
from exuvia.errors import ConfigError

Rounds = Annotated[int, Field(ge=1, le=1000)]
CodeSteps = Annotated[int, Field(ge=1, le=100_000)]
Temperature = Annotated[float, Field(ge=0, le=10)]
Guidance = Annotated[float, Field(ge=-100, le=100)]


class Sampling(TypedDict, total=False):
    """Settings of `GenerationConfig` that one call changes."""

    steps: int
    cond_scale: float
    residual_scale: float
    keep_share: float
    temperature: float
    residual_temperature: float
    smoothing: float
    min_steps: int
    max_steps: int


@settings
class GenerationConfig:
    """How codes are sampled; the defaults are MoMask's evaluation settings."""

    steps: Rounds = 10
    """Rounds of unmasking."""
    cond_scale: Guidance = 4.0
    """Classifier-free guidance of the base codes."""
    residual_scale: Guidance = 5.0
    """Classifier-free guidance of the residual codes."""
    keep_share: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Top-k: the share (1 - keep_share) of the vocabulary that may be sampled."""
    temperature: Temperature = 1.0
    """Sampling temperature of the base codes."""
    residual_temperature: Temperature = 1.0
    """Sampling temperature of the residual codes."""
    smoothing: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Standard deviation, in frames, of a Gaussian over the decoded features; 0, as published, leaves them. Small
    tokenizers decode with jitter: about one frame removes most of it."""
    min_steps: CodeSteps = 5
    """Shortest motion, in code steps."""
    max_steps: CodeSteps = 49
    """Longest motion, in code steps."""

    def of_base(self) -> dict[str, Any]:
        """How the base codes are drawn."""
        return {"cond_scale": self.cond_scale, "keep_share": self.keep_share, "temperature": self.temperature}

    def of_residual(self) -> dict[str, Any]:
        """How the residual codes are drawn."""
        scale, temperature = self.residual_scale, self.residual_temperature
        return {"cond_scale": scale, "keep_share": self.keep_share, "temperature": temperature}


@settings
class LongConfig:
    """How scenes are joined."""

    context: CodeSteps = 16
    """Code steps of the existing motion that a window shows."""
    blend: Natural = 3
    """How many of these, the last ones, are rewritten when the next caption begins."""

    def __post_init__(self) -> None:
        if self.blend >= self.context:
            raise ConfigError(f"found a blend of {self.blend} steps, expected fewer than the context of {self.context}")


class TextFacts(TypedDict):
    """The caption encoder that a generator was trained with."""

    name: str
    fingerprint: str
    pooled: bool
    """Whether it reads one vector a caption instead of token states."""


class PipelineFacts(TypedDict):
    """What a pipeline's `config.json` says beside the sizes of its parts."""

    text: TextFacts
    generation: dict[str, float]
    """Fields of `GenerationConfig`."""
    representation: NotRequired[str]
    """Layout of the features, a name of the registry; left out for HumanML3D's."""


class History(TypedDict, total=False):
    """What a pipeline's `provenance.json` says that is read again."""

    edits: list[dict[str, Any]]
    parts: dict[str, Any]


class PipelineFile(PipelineFacts):
    """All of it: the sizes of the parts too, and what is in the way of prompts and codes."""

    tokenizer: dict[str, Any]
    base: dict[str, Any]
    residual: dict[str, Any]
    length: dict[str, Any]
    detours: NotRequired[list[dict[str, Any]]]
    noise: NotRequired[list[dict[str, Any]]]
