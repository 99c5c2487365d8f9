"""Requests and responses of the API as pydantic models; the OpenAPI description is generated from them."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

MAX_PROMPT = 2000
"""In characters, equal to `pipeline.MAX_PROMPT_CHARACTERS`."""
MAX_SEED = 2**31 - 1


def _storable(text: str) -> str:
    """Return text that every database can store; refuse NUL and unpaired surrogates."""
    if "\0" in text or any(0xD800 <= ord(letter) <= 0xDFFF for letter in text):
        raise ValueError("found a character that cannot be stored as text")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("found an empty prompt, expected a sentence such as 'a person walks forward'")
    return text


Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[Text, StringConstraints(min_length=1, max_length=120, strip_whitespace=True)]
Prompt = Annotated[Text, StringConstraints(min_length=1, max_length=MAX_PROMPT), AfterValidator(_not_blank)]
Seed = Annotated[StrictInt, Field(ge=0, le=MAX_SEED, description="a whole number without a decimal point")]
State = Literal["queued", "running", "done", "failed", "cancelled"]
JobKind = Literal["generate", "unlearn", "audit", "evaluate", "look"]
Kind = Literal["explicit", "implicit", "compositional", "paraphrase", "misspelling", "lookalike", "long", "empty"]
Label = Literal["violent", "fine", "false_alarm"]
SettingName = Annotated[Text, StringConstraints(max_length=60)]
Setting = StrictBool | StrictInt | float | Annotated[Text, StringConstraints(max_length=200)] | None


class Ask(BaseModel):
    """A request body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", str_max_length=100_000)


class MotionAsk(Ask):
    """A request for one motion per prompt, seed and generator."""

    prompts: list[Prompt] = Field(min_length=1, examples=[["a person walks forward"]])
    seeds: list[Seed] = Field(default=[0], min_length=1, max_length=64)
    generators: list[Id] = Field(default=[], max_length=16, description="empty: the first generator of the list")
    frames: StrictInt | None = Field(
        default=None, ge=1, description="at 20 per second, within `facts.frames` of the generators; null: estimated"
    )


class EditAsk(Ask):
    """A request for a copy of a generator that forgets a concept."""

    generator: Id
    method: Annotated[Text, StringConstraints(min_length=1, max_length=40)] = Field(examples=["lcr"])
    concept: Annotated[Text, Field(min_length=1, max_length=200, examples=["violence", "kick+jump"])]
    settings: Annotated[dict[SettingName, Setting | list[Setting]], Field(max_length=40)] = {}
    data: Annotated[Text, StringConstraints(max_length=120)] | None = None
    name: Name | None = None


class AuditAsk(Ask):
    """A request to run the user's prompts and shipped sets through a generator."""

    generator: Id
    prompts: list[Annotated[Text, StringConstraints(max_length=MAX_PROMPT)]] = []
    kinds: list[Kind] = Field(default=[], max_length=8)
    seeds: list[Seed] = Field(default=[0], min_length=1, max_length=16)


class EvaluationAsk(Ask):
    """A request to compare an edited generator with its original."""

    generator: Id
    data: Annotated[Text, StringConstraints(max_length=120)] | None = None
    seeds: list[Seed] = Field(default=[0, 1, 2], min_length=1, max_length=10)
    limit: StrictInt = Field(default=60, ge=8, le=2000, description="number of prompts of each set")


class MarkAsk(Ask):
    """A user's label: the motion shows the concept, it does not, or the classifier is wrong about it."""

    label: Label | None = Field(description="null removes the label")
    note: Annotated[Text, StringConstraints(max_length=2000)] = ""


class GeneratorAsk(Ask):
    """Changes to an entry in the list of generators."""

    name: Name | None = None
    kept: StrictBool | None = None


class Problem(BaseModel):
    """An error, explained in one sentence."""

    detail: str


class JobFacts(BaseModel):
    """Fields of a job that both the table and the page have."""

    id: str
    kind: str
    state: State
    message: str
    done: int
    total: int
    attempt: int
    revision: int
    created: float
    started: float | None
    finished: float | None
    request: dict[str, Any]


class JobView(JobFacts):
    """A job as the page shows it."""

    title: str
    left_s: float | None = Field(description="seconds still needed, where known")
    ahead: int = Field(description="number of jobs before it")
    result: dict[str, Any] | None = Field(description="ids of the results; long lists have a separate address")


class GeneratorView(BaseModel):
    """An available generator."""

    id: str
    name: str
    origin: Literal["shipped", "given", "edited"] = Field(description="given at start-up, or edited here")
    parent: str | None
    job: str | None
    facts: dict[str, Any] = Field(
        description="`frames`: shortest and longest motion; if edited, also method, concept, settings and seconds"
    )
    kept: bool
    created: float


class MotionLine(BaseModel):
    """A motion in a list."""

    id: str
    job: str | None
    generator: str | None
    prompt: str
    seed: int | None
    frames: int
    fps: float
    violence: float | None = Field(description="the classifier's probability for the whole clip")
    label: Label | None


class Motion(MotionLine):
    """A motion with everything that the page shows except its joints."""

    note: str | None
    detail: dict[str, Any] = Field(description="codes, contacts, violence over time, intervals; see analysis.py")
    origin: dict[str, Any] = Field(description="prompt, seed, generator, edits, concept, licence, file, where known")
    understood: str = Field(description="of an uploaded file: format, rate, unit, upward axis, joints, as lines")
    doubts: list[str] = Field(description="of an uploaded file: what may have been read wrongly, and the field to set")


class MotionView(Motion):
    """A motion with its joints."""

    clip: dict[str, Any]


class Status(BaseModel):
    """The state of the studio."""

    version: str
    ready: bool = Field(description="whether the first generator is loaded")
    workers: dict[str, bool]
    jobs: dict[str, int]
    motions: int
    revision: int


class ReportView(BaseModel):
    """A report that can be opened."""

    id: str
    name: str
