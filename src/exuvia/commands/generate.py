"""`exuvia generate`: generates motion files from prompts."""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import Field

from exuvia.commands.switches import written_suffix
from exuvia.config import Seed, settings
from exuvia.device import Device
from exuvia.errors import ConfigError, DataError
from exuvia.motion.output import Output
from exuvia.pipeline.settings import Guidance, Rounds, Temperature
from exuvia.progress import progress_bar
from exuvia.readers import read_utf8
from exuvia.registry import DEFAULT_GENERATOR

AT_ONCE = 256
"""Number of motions in memory before they are written."""
MOST = 100_000
"""Maximum number of motions of one call."""
MAX_NAME = 60
"""Maximum number of characters of a prompt in a file name; fewer for scripts with long encodings."""


@settings
class GenerateConfig(Output):
    """Prompts, sampling settings and outputs."""

    prompts: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PROMPT ...")] = ()
    """One motion for each sentence."""
    file: Path | None = None
    """Text file with one prompt per line; `sentence#120` asks for 120 frames, `sentence#NA` for an estimated length."""
    out: Path = Path("motions")
    """Output file for one motion, with suffix .npy .npz .bvh .glb .mp4 .gif .png or .html, or one .glb file for several
    motions; else a folder."""
    formats: tuple[str, ...] = ("npy", "html")
    """Formats of the files in a folder."""
    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder."""
    seed: Seed = 0
    """Seed; it gives the same motion alone or in any batch."""
    repeats: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Motions per prompt, with the seeds seed, seed + 1, ..."""
    frames: Annotated[int, Field(ge=1, le=4000)] | None = None
    """Length of every motion in frames (20 per second); without it, the length estimator decides."""
    steps: Rounds | None = None
    """Number of unmasking steps; this and other sampling settings default to the pipeline's own values."""
    cond_scale: Guidance | None = None
    """Classifier-free guidance scale of the base codes."""
    residual_scale: Guidance | None = None
    """Classifier-free guidance scale of the residual codes."""
    temperature: Temperature | None = None
    """Sampling temperature of the base codes."""
    device: Device = "cpu"
    """Device of the models: cpu, cuda, cuda:1, mps."""


SAMPLING = ("steps", "cond_scale", "residual_scale", "temperature")


@dataclass(frozen=True)
class Request:
    """One motion to generate."""

    prompt: str
    frames: int | None
    seed: int
    name: str


def generate(config: GenerateConfig) -> None:
    """Generate a motion for every prompt, and write it in every requested format."""
    from exuvia.pipeline.pipeline import MotionPipeline

    wanted = requests(config)
    suffixes = _suffixes(config, len(wanted))
    pipe = MotionPipeline.from_pretrained(config.pipeline, device=config.device)
    together: dict[str, Any] = {}
    sampling = {name: value for name in SAMPLING if (value := getattr(config, name)) is not None}
    for known in (True, False):
        batch = [request for request in wanted if (request.frames is not None) == known]
        for low in range(0, len(batch), AT_ONCE):
            part = batch[low : low + AT_ONCE]
            frames: Any = [request.frames for request in part] if known else None
            prompts, seeds = [request.prompt for request in part], [request.seed for request in part]
            with progress_bar("generate", "motions") as progress:
                made = pipe.generate(prompts, seed=seeds, frames=frames, progress=progress, **sampling)
            for request, clip in zip(part, made.clips, strict=True):
                clip = config.finished(clip)
                if not suffixes and len(wanted) > 1:
                    together[request.name] = clip
                    continue
                forgotten = re.sub(r"\W+", "_", str(clip.meta.get("concept", "")))
                name = request.name + (f"_without_{forgotten}" if forgotten else "")
                names = [config.out / f"{name}{suffix}" for suffix in suffixes]
                for target in names or [config.out]:
                    print(config.save(clip, target))
    if together:
        print(config.save_all([together[request.name] for request in wanted], config.out))


def requests(config: GenerateConfig) -> list[Request]:
    """Every motion that a configuration asks for, with its file name."""
    pairs: list[tuple[str, int | None]] = [(prompt, None) for prompt in config.prompts]
    pairs += read_prompts(config.file) if config.file else []
    pairs = [(prompt.strip(), frames) for prompt, frames in pairs if prompt.strip()]
    if not pairs:
        raise ConfigError('found no prompt, expected at least one sentence, e.g. "a man walks", or --file')
    if len(pairs) * config.repeats > MOST:
        found = f"{len(pairs)} prompts {config.repeats} times"
        raise ConfigError(f"found {found}, expected at most {MOST} motions; give fewer --repeats or several --file")
    width = len(str(len(pairs) - 1))
    return [
        Request(prompt, frames or config.frames, config.seed + repeat, _name(number, width, prompt, repeat, config))
        for number, (prompt, frames) in enumerate(pairs)
        for repeat in range(config.repeats)
    ]


def read_prompts(path: Path) -> list[tuple[str, int | None]]:
    """Read prompts and lengths from a text file with one prompt per line, in MoMask's format (`sentence#frames`)."""
    lines = read_utf8(path, "text file of prompts").splitlines()
    return [read_prompt(line, f"{path}:{number}") for number, line in enumerate(lines, start=1) if line.strip()]


def read_prompt(line: str, place: str) -> tuple[str, int | None]:
    """Split a line into a sentence and its length in frames, if any. Raises DataError for an invalid length."""
    sentence, mark, length = line.rpartition("#")
    if not mark:
        return line, None
    if length.strip().upper() in ("NA", ""):
        return sentence, None
    if not length.strip().isdecimal() or len(length.strip()) > 9 or int(length) < 1:
        raise DataError(f"{place}: found the length {length.strip()[:20]!r} after #, expected frames or NA")
    return sentence, int(length)


def _name(number: int, width: int, prompt: str, repeat: int, config: GenerateConfig) -> str:
    """A unique file name. It keeps letters and digits of every script; other characters become underscores."""
    kept = (letter if unicodedata.category(letter)[0] in "LMN" else " " for letter in prompt.lower()[:MAX_NAME])
    words = "_".join("".join(kept).split()).encode()[: 2 * MAX_NAME].decode(errors="ignore")
    again = f"_seed{config.seed + repeat}" if config.repeats > 1 else ""
    return f"{number:0{width}d}{'_' if words else ''}{words}{again}"


def _suffixes(config: GenerateConfig, count: int) -> tuple[str, ...]:
    """Suffixes to write, () if `out` is a file; checked before slow work starts."""
    if config.out.suffix and not config.out.is_dir():
        config.check([suffix := written_suffix(config.out.suffix)])
        if count > 1 and suffix != ".glb":
            expected = "expected one; give a folder, or one .glb file for all, as --out"
            raise ConfigError(f"found {count} motions for the file {config.out}, {expected}")
        return ()
    if not config.formats:
        raise ConfigError("found no format, expected at least one, e.g. --formats html")
    suffixes = tuple(written_suffix(name) for name in config.formats)
    config.check(suffixes)
    return suffixes
