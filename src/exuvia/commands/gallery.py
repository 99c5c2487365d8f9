"""`exuvia gallery`: shows motions of many prompts on one page, for one or two pipelines."""

from pathlib import Path

from exuvia.commands.generate import read_prompts
from exuvia.config import Count, Seed, settings
from exuvia.errors import ConfigError
from exuvia.progress import progress_bar
from exuvia.registry import DEFAULT_GENERATOR


@settings
class GalleryConfig:
    """Settings of the page."""

    out: Path = Path("gallery.html")
    """Output file."""
    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder."""
    beside: str = ""
    """Second pipeline, shown next to the first with the same prompts and seeds."""
    file: Path | None = None
    """Text file with one prompt per line, as for `exuvia generate`; without it built-in prompts of four kinds."""
    each: Count = 3
    """Number of built-in prompts of each kind."""
    seed: Seed = 0
    """Seed of every motion."""
    gif: Path | None = None
    """An animated picture of the same motions, one prompt after the other, for a README or a slide."""


def gallery(config: GalleryConfig) -> None:
    """Write one self-contained page; it needs no network. With `gif`, write an animated picture as well."""
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.view.page import ComparisonRow, Panel, write_comparison, write_page
    from exuvia.view.video import write_side_by_side

    prompts = _prompts(config)
    if not prompts:
        raise ConfigError(f"found no prompt in {config.file}, expected one per line")
    if config.gif is not None and (config.gif.suffix != ".gif" or config.gif == config.out):
        raise ConfigError(f"found {config.gif} as the animated picture, expected a name of its own that ends in .gif")
    texts = [text for _, text, _ in prompts]
    frames = [length for _, _, length in prompts if length is not None] or None
    if frames and len(frames) < len(texts):
        raise ConfigError(f"found lengths after some prompts of {config.file} only, expected one after each, or none")
    names = [config.pipeline, *([config.beside] if config.beside else [])]
    clips = []
    for name in names:
        with progress_bar("gallery", "motions") as progress:
            pipe = MotionPipeline.from_pretrained(name)
            clips.append(pipe.generate(texts, seed=config.seed, frames=frames, progress=progress).clips)
    if len(clips) == 1:
        write_page(clips[0], config.out, title=f"{Path(config.pipeline).name}: {len(texts)} motions")
    else:
        titles = [Path(name).name for name in names]
        panels = [list(map(Panel, titles, each)) for each in zip(*clips, strict=True)]
        rows = [ComparisonRow(text, each, tag=kind) for (kind, text, _), each in zip(prompts, panels, strict=True)]
        write_comparison(config.out, "The same prompts and seeds", rows)
    written = str(config.out)
    if config.gif is not None:
        captions = [Path(name).name for name in names] if len(names) == 1 else ["before", "after"]
        write_side_by_side(list(zip(texts, zip(*clips, strict=True), strict=True)), captions, config.gif)
        written += f" and {config.gif}"
    print(f"wrote {written}: {len(texts)} prompts")


def _prompts(config: GalleryConfig) -> list[tuple[str, str, int | None]]:
    """Kind, text and length in frames of each."""
    from exuvia.evaluation.prompts.load import load_prompts

    if config.file is not None:
        return [("", prompt, frames) for prompt, frames in read_prompts(config.file)]
    kinds = ("lookalike", "explicit", "implicit", "compositional")  # the first screen shows no violence
    return [(kind, prompt.text, None) for kind in kinds for prompt in load_prompts(kind)[: config.each]]
