"""`exuvia gallery`: shows motions of many prompts on one page, for one or two pipelines."""

from pathlib import Path

from exuvia.commands.generate import read_prompts
from exuvia.config import Count, Seed, settings
from exuvia.errors import ConfigError
from exuvia.progress import progress_bar


@settings
class GalleryConfig:
    """Settings of the page."""

    out: Path = Path("gallery.html")
    """Output file."""
    pipeline: str = "base"
    """A shipped pipeline's name or a pipeline folder."""
    beside: str = ""
    """Second pipeline, shown next to the first with the same prompts and seeds."""
    file: Path | None = None
    """Text file with one prompt per line (lengths after # are ignored); without it, built-in prompts of four kinds."""
    each: Count = 3
    """Number of built-in prompts of each kind."""
    seed: Seed = 0
    """Seed of every motion."""


def gallery(config: GalleryConfig) -> None:
    """Write a self-contained page, which needs no network."""
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.view.page import ComparisonRow, Panel, write_comparison, write_page

    prompts = _prompts(config)
    if not prompts:
        raise ConfigError(f"found no prompt in {config.file}, expected one per line")
    texts = [text for _, text in prompts]
    names = [config.pipeline, *([config.beside] if config.beside else [])]
    clips = []
    for name in names:
        with progress_bar("gallery", "motions") as progress:
            made = MotionPipeline.from_pretrained(name).generate(texts, seed=config.seed, progress=progress)
        clips.append(made.clips)
    if len(clips) == 1:
        write_page(clips[0], config.out, title=f"{Path(config.pipeline).name}: {len(texts)} motions")
    else:
        titles = [Path(name).name for name in names]
        panels = [list(map(Panel, titles, each)) for each in zip(*clips, strict=True)]
        rows = [ComparisonRow(text, each, tag=kind) for (kind, text), each in zip(prompts, panels, strict=True)]
        write_comparison(config.out, "The same prompts and seeds", rows)
    print(f"wrote {config.out}: {len(texts)} prompts")


def _prompts(config: GalleryConfig) -> list[tuple[str, str]]:
    """Kind and text of each."""
    from exuvia.evaluation.prompts.load import load_prompts

    if config.file is not None:
        return [("", prompt) for prompt, _ in read_prompts(config.file)]
    kinds = ("explicit", "implicit", "compositional", "lookalike")
    return [(kind, prompt.text) for kind in kinds for prompt in load_prompts(kind)[: config.each]]
