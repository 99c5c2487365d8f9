"""Settings of sampling and of joined scenes, and the content of pipeline folders; imports no PyTorch."""

from collections.abc import Sequence
from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from exuvia.config import Natural, settings
from exuvia.errors import ConfigError

Rounds = Annotated[int, Field(ge=1, le=1000)]
CodeSteps = Annotated[int, Field(ge=1, le=100_000)]
Temperature = Annotated[float, Field(ge=0, le=10)]
Guidance = Annotated[float, Field(ge=-100, le=100)]
MAX_PROMPT_CHARACTERS = 2000


class Sampling(TypedDict, total=False):
    """Settings of `GenerationConfig` that a call can change."""

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
    """Settings of sampling; the defaults are MoMask's evaluation settings."""

    steps: Rounds = 10
    """Number of unmasking steps."""
    cond_scale: Guidance = 4.0
    """Classifier-free guidance scale of the base codes."""
    residual_scale: Guidance = 5.0
    """Classifier-free guidance scale of the residual codes."""
    keep_share: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Top-k filter: only the share 1 - keep_share of the vocabulary may be sampled."""
    temperature: Temperature = 1.0
    """Sampling temperature of the base codes."""
    residual_temperature: Temperature = 1.0
    """Sampling temperature of the residual codes."""
    smoothing: Annotated[float, Field(ge=0, le=100)] = 0.0
    """Standard deviation, in frames, of a Gaussian filter over the decoded features; 0 = no filter, as published. Small
    tokenizers decode with jitter, which about one frame of smoothing mostly removes."""
    min_steps: CodeSteps = 5
    """Minimum length of a motion in code steps."""
    max_steps: CodeSteps = 49
    """Maximum length of a motion in code steps."""

    def of_base(self) -> dict[str, Any]:
        """Sampling options of the base codes."""
        return {"cond_scale": self.cond_scale, "keep_share": self.keep_share, "temperature": self.temperature}

    def of_residual(self) -> dict[str, Any]:
        """Sampling options of the residual codes."""
        scale, temperature = self.residual_scale, self.residual_temperature
        return {"cond_scale": scale, "keep_share": self.keep_share, "temperature": temperature}


@settings
class LongConfig:
    """Settings of joining scenes."""

    context: CodeSteps = 16
    """Number of code steps of the existing motion that a window includes."""
    blend: Natural = 3
    """Number of these steps, at the end, that are rewritten under the next caption."""

    def __post_init__(self) -> None:
        if self.blend >= self.context:
            raise ConfigError(f"found a blend of {self.blend} steps, expected fewer than the context of {self.context}")


class TextFacts(TypedDict):
    """The caption encoder of a generator."""

    name: str
    fingerprint: str
    pooled: bool
    """Whether the generator reads one vector per caption instead of token states."""


class PipelineFacts(TypedDict):
    """Content of a pipeline's `config.json` in addition to the sizes of its parts."""

    text: TextFacts
    generation: dict[str, float]
    """Fields of `GenerationConfig`."""
    representation: NotRequired[str]
    """Registry name of the feature layout; absent for HumanML3D's."""


class History(TypedDict, total=False):
    """Content of a pipeline's `provenance.json` that is read."""

    edits: list[dict[str, Any]]
    parts: dict[str, Any]


class PipelineFile(PipelineFacts):
    """Complete content of a pipeline's `config.json`."""

    tokenizer: dict[str, Any]
    base: dict[str, Any]
    residual: dict[str, Any]
    length: dict[str, Any]
    guards: NotRequired[list[dict[str, Any]]]
    codebook_noise: NotRequired[list[dict[str, Any]]]


def check_prompts(prompts: Sequence[str]) -> None:
    """Raise ConfigError for an empty list, an empty prompt, or one longer than any motion caption."""
    if not prompts:
        raise ConfigError("found no prompt, expected at least one")
    for prompt in prompts:
        if not prompt.strip():
            raise ConfigError("found an empty prompt, expected a sentence such as 'a person walks forward'")
        if len(prompt) > MAX_PROMPT_CHARACTERS:
            size = f"{len(prompt.split())} words ({len(prompt)} characters)"
            raise ConfigError(f"found a prompt of {size}, expected at most {MAX_PROMPT_CHARACTERS} characters")
