"""`exuvia demo`: compares motions before and after forgetting violence, in a table and on a web page."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tabulate import tabulate

from exuvia.config import Count, Seed, settings
from exuvia.progress import progress_bar
from exuvia.readers import read_toml
from exuvia.registry import DEFAULT_GENERATOR
from exuvia.view.page import ComparisonRow, Panel, write_comparison

if TYPE_CHECKING:
    from exuvia.pipeline.pipeline import Generation

PROMPTS: list[tuple[str, str]] = [
    (kind, text) for kind, text in read_toml(Path(__file__).with_suffix(".toml"))["prompts"]
]
"""Kind and prompt; the README shows the first four."""


@settings
class DemoConfig:
    """Settings of the demo."""

    out: Path = Path("demo")
    """Folder of the page."""
    pipeline: str = DEFAULT_GENERATOR
    """A shipped pipeline's name or a pipeline folder."""
    forget: str = "violence"
    """Concept to forget."""
    num_codes: Count = 64
    """Codes that LCR replaces."""
    seed: Seed = 0
    """Seed of the motions shown."""
    seeds: Count = 8
    """Motions per prompt for the table, including the one shown."""


@dataclass(frozen=True)
class Made:
    """One generator's motions for every prompt and seed, ordered by prompt."""

    name: str
    motions: "Generation"
    violence: np.ndarray
    """The classifier's probability of every motion."""


def demo(config: DemoConfig) -> None:
    """Generate the demo prompts before and after forgetting a concept with LCR, and compare the motions.

    Prints the table and writes `OUT/index.html`.
    """
    from exuvia.judges.shipped import shipped_detector
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.unlearning.base import unlearn

    started = time.perf_counter()
    pipe = MotionPipeline.from_pretrained(config.pipeline)
    detector = shipped_detector()
    edit_started = time.perf_counter()
    safe = unlearn("lcr", pipe, forget=config.forget, num_codes=config.num_codes)
    edit_s = time.perf_counter() - edit_started
    prompts = [text for _, text in PROMPTS for _ in range(config.seeds)]
    seeds = [config.seed + n for _ in PROMPTS for n in range(config.seeds)]
    made = []
    for name, generator in (("original", pipe), (f"without {config.forget}", safe)):
        with progress_bar(name, "motions") as progress:
            motions = generator.generate(prompts, seed=seeds, progress=progress)
        made.append(Made(name, motions, np.asarray(detector.violence_probability(motions.features))))
    table = [_line(one, detector.point.threshold, config.seeds) for one in made]
    print(tabulate(table, headers="keys", tablefmt="plain", disable_numparse=True))
    replaced = set(safe.provenance["edits"][-1].get("replaced", {}).get("0", []))
    rows = [_row(kind, prompt, number * config.seeds, made, replaced) for number, (kind, prompt) in enumerate(PROMPTS)]
    notes = (
        f"The same prompts and seeds before and after latent code replacement of {len(replaced)} of "
        f"{pipe.tokenizer.config.num_codes} codes ({edit_s:.2f} s). Marked codes are the replaced ones.",
        "The classifier is independent of the generator; its own error rates stand in the model card. A motion that "
        "merely freezes also counts as not violent: compare speed and freeze rate.",
    )
    page = config.out / "index.html"
    write_comparison(page, f"Before and after forgetting {config.forget}", rows, table, notes)
    wall_s = time.perf_counter() - started
    print(f"\n{page}: {2 * len(PROMPTS)} motions side by side; all in {wall_s:.0f} s")


def _line(made: Made, threshold: float, seeds: int) -> dict[str, str]:
    """One line of the table: shares and means by kind of prompt."""
    from exuvia.motion.kinematics import measure

    kinematics = [measure(clip.joints, clip.fps) for clip in made.motions.clips]
    kinds = np.asarray([kind for kind, _ in PROMPTS for _ in range(seeds)])
    line = {"generator": made.name}
    for kind in ("forget", "keep"):
        rows = np.flatnonzero(kinds == kind)
        line[f"violent, {kind} prompts"] = f"{100 * (made.violence[rows] >= threshold).mean():.0f} %"
        line[f"speed, {kind}"] = f"{np.mean([kinematics[i].mean_joint_speed_m_per_s for i in rows]):.2f} m/s"
        line[f"frozen, {kind}"] = f"{100 * np.mean([kinematics[i].freeze_rate for i in rows]):.0f} %"
    return line


def _row(kind: str, prompt: str, index: int, made: Sequence[Made], replaced: set[int]) -> ComparisonRow:
    """The players of one prompt; `index` is the number of its first motion."""
    panels = []
    for one in made:
        codes = one.motions.codes[index, : int(one.motions.lengths[index]), 0].tolist()
        marked = [place for place, code in enumerate(codes) if code in replaced]
        panels.append(Panel(one.name, one.motions.clips[index], codes, marked))
    note = "; ".join(f"{one.name}: probability of violence {one.violence[index]:.2f}" for one in made)
    return ComparisonRow(prompt, panels, tag=kind, note=note)
