"""What the API takes and gives, as pydantic models; the OpenAPI description is made of these."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

MAX_PROMPT = 2000
"""Characters; as `pipeline.MAX_PROMPT_CHARACTERS`."""
MAX_SEED = 2**31 - 1


def _storable(text: str) -> str:
    """Text that every database keeps: no NUL, no half of a surrogate pair."""
    if "\0" in text or any(0xD800 <= ord(letter) <= 0xDFFF for letter in text):
        raise ValueError("found a character that no text file can hold")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("found an empty prompt, expected a sentence such as 'a person walks forward'")
    return text


Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[Text, StringConstraints(min_length=1, max_length=120, strip_whitespace=True)]
Prompt = Annotated[Text, StringConstraints(min_length=1, max_length=MAX_PROMPT), AfterValidator(_not_blank)]
Seed = Annotated[StrictInt, Field(ge=0, le=MAX_SEED, description="a whole number, written without a point")]
State = Literal["queued", "running", "done", "failed", "cancelled"]
JobKind = Literal["generate", "unlearn", "audit", "evaluate", "look"]
Kind = Literal["explicit", "implicit", "compositional", "paraphrase", "misspelling", "lookalike", "long", "empty"]
Label = Literal["violent", "fine", "false_alarm"]
SettingName = Annotated[Text, StringConstraints(max_length=60)]
Setting = StrictBool | StrictInt | float | Annotated[Text, StringConstraints(max_length=200)] | None


class Ask(BaseModel):
    """A request body: nothing in it goes unread."""

    model_config = ConfigDict(extra="forbid", str_max_length=100_000)


class MotionAsk(Ask):
    """Motion for prompts: for every prompt and seed one by each generator."""

    prompts: list[Prompt] = Field(min_length=1, examples=[["a person walks forward"]])
    seeds: list[Seed] = Field(default=[0], min_length=1, max_length=64)
    generators: list[Id] = Field(default=[], max_length=16, description="none: the first on the list")
    frames: StrictInt | None = Field(
        default=None, ge=1, description="20 a second, within `facts.frames` of the generators; none: estimated"
    )


class EditAsk(Ask):
    """A copy of a generator that forgets a concept."""

    generator: Id
    method: Annotated[Text, StringConstraints(min_length=1, max_length=40)] = Field(examples=["lcr"])
    concept: Annotated[Text, Field(min_length=1, max_length=200, examples=["violence", "kick+jump"])]
    settings: Annotated[dict[SettingName, Setting | list[Setting]], Field(max_length=40)] = {}
    data: Annotated[Text, StringConstraints(max_length=120)] | None = None
    name: Name | None = None


class AuditAsk(Ask):
    """Prompts of one's own and of the shipped sets, run through a generator."""

    generator: Id
    prompts: list[Annotated[Text, StringConstraints(max_length=MAX_PROMPT)]] = []
    kinds: list[Kind] = Field(default=[], max_length=8)
    seeds: list[Seed] = Field(default=[0], min_length=1, max_length=16)


class EvaluationAsk(Ask):
    """A report on an edited generator beside its original."""

    generator: Id
    data: Annotated[Text, StringConstraints(max_length=120)] | None = None
    seeds: list[Seed] = Field(default=[0, 1, 2], min_length=1, max_length=10)
    limit: StrictInt = Field(default=60, ge=8, le=2000, description="prompts of each set")


class MarkAsk(Ask):
    """What somebody says of a motion."""

    label: Label | None = Field(description="none takes it back")
    note: Annotated[Text, StringConstraints(max_length=2000)] = ""


class GeneratorAsk(Ask):
    """Changes of an entry in the list of generators."""

    name: Name | None = None
    kept: StrictBool | None = None


class Problem(BaseModel):
    """What went wrong, in one sentence."""

    detail: str


class JobFacts(BaseModel):
    """What the table of jobs and the page both have of one."""

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
    ahead: int = Field(description="jobs that come before it")
    result: dict[str, Any] | None = Field(description="ids of what was made; long lists have an address of their own")


class GeneratorView(BaseModel):
    """A generator on offer."""

    id: str
    name: str
    origin: Literal["shipped", "given", "edited"] = Field(description="given when the studio started, or edited here")
    parent: str | None
    job: str | None
    facts: dict[str, Any] = Field(
        description="`frames`: shortest and longest motion; of an edited one also method, concept, settings, seconds"
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
    """A motion with everything the page shows of it but its joints."""

    note: str | None
    detail: dict[str, Any] = Field(description="codes, contacts, violence by the moment, intervals; see analysis.py")


class MotionView(Motion):
    """A motion, ready to be drawn."""

    clip: dict[str, Any]


class Status(BaseModel):
    """How the studio is."""

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
