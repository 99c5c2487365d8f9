"""The experiment: train a small Mamba on every source with several seeds, and compare its step sizes with information.

The claim under test: "learned time intervals in Mamba act as linear approximators of information" (abstract of
SeRpEnt, [rando2025serpent]).
"""

import csv
import dataclasses
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exuvia.checkpoint import load_into, load_tensors
from exuvia.errors import ConfigError
from exuvia.files import write_json, write_text
from exuvia.registry import suggest
from exuvia.train import WEIGHTS, TrainConfig, fit
from lab.selectivity.markov import Insertions, markov
from lab.selectivity.measure import SKIP, Finding, KindFinding, measure_model
from lab.selectivity.model import LanguageModelConfig, NextToken, new_model
from lab.selectivity.plot import Panel, draw_panels
from lab.selectivity.source import Source
from lab.selectivity.summary import LayerSummary, as_row, summarise
from lab.selectivity.text import RealText, Text, read_text, text_chain

log = logging.getLogger(__name__)

SOURCES: dict[str, Callable[[int, Text], Source]] = {
    "markov": lambda seed, text: markov(1, 64, seed),
    "markov2": lambda seed, text: markov(2, 16, seed),
    "insertions": lambda seed, text: Insertions(32, seed),
    "bigram": lambda seed, text: text_chain(text, 1),
    "trigram": lambda seed, text: text_chain(text, 2),
    "text": lambda seed, text: RealText(text),
}
"""From the run's seed and the text; the synthetic chains differ from seed to seed."""

HELD_OUT = (0, 0, 1)
"""Goes with the seed into the generator of held-out sequences: longer than what the loop seeds its own by."""


@dataclass(frozen=True)
class StudyConfig:
    """Sizes, duration and sources of the study."""

    sources: tuple[str, ...] = ()
    """Names of SOURCES; all that the data allow when empty (`text` needs a file)."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One model each."""
    text: Path | None = None
    """Text for bigram, trigram and text: plain, .xz or .gz. Without it the first two use a synthetic text."""
    width: int = 64
    """Width of the residual stream."""
    layers: int = 2
    """Mamba layers."""
    state: int = 16
    """States per channel."""
    length: int = 256
    """Elements of a sequence."""
    batch_size: int = 16
    """Sequences per step."""
    steps: int = 1500
    """Optimiser steps."""
    lr: float = 4e-3
    """Peak learning rate."""
    held_out: int = 64
    """Sequences to measure on."""
    resamples: int = 1000
    """Resamples of the bootstrap."""


@dataclass(frozen=True)
class Study:
    """The findings."""

    summaries: tuple[LayerSummary, ...]
    gaps: dict[str, list[float]]
    """Held-out bits an element above the source's own information, one per seed, by source."""
    kinds: tuple[KindFinding, ...]
    files: tuple[Path, ...]


def run_study(config: StudyConfig, out: Path) -> Study:
    """Train what is not trained yet, measure everything, write relations.csv, kinds.csv, summary.json and pictures.

    Every model has a run folder `SOURCE-seedN` under `out`; an interrupted run continues. Several processes can share
    `out`, each with different sources or seeds; a last call over all of them then writes the complete tables.

    Raises:
        ConfigError: an unknown source, `text` without a file, or a size that is too small.
        DataError: the text cannot be read.
        OutputError: `out` cannot be written.
    """
    names = _checked(config)
    text = read_text(config.text)
    findings: dict[str, list[Finding]] = {}
    gaps: dict[str, list[float]] = {}
    rates: dict[str, list[float | None]] = {}
    for seed in config.seeds:  # seeds outside: after the first, every source has an answer
        for name in names:
            source = SOURCES[name](seed, text)
            trained, untrained, gap = _one_run(config, source, seed, out / f"{name}-seed{seed}")
            findings.setdefault(name, []).extend([trained, untrained])
            gaps.setdefault(name, []).append(gap)
            rates.setdefault(name, []).append(source.entropy_rate)
    every = [finding for name in names for finding in findings[name]]
    summaries = tuple(summarise(row for finding in every for row in finding.layers))
    files = [out / "relations.csv", out / "kinds.csv", out / "summary.json"]
    write_text(files[0], _csv([as_row(row) for finding in every for row in finding.layers]))
    kinds = tuple(row for finding in every for row in finding.kinds)
    write_text(files[1], _csv([dataclasses.asdict(row) for row in kinds]))
    about = {"seeds": list(config.seeds), "skip": SKIP, "gap_bits": gaps, "entropy_rate_bits": rates}
    write_json(files[2], about | {"layers": [dataclasses.asdict(one) for one in summaries]})
    for name in names:
        files.append(out / f"{name}.svg")
        write_text(files[-1], _picture(name, findings[name][0], summaries))
    return Study(summaries, gaps, kinds, tuple(files))


def _one_run(config: StudyConfig, source: Source, seed: int, folder: Path) -> tuple[Finding, Finding, float]:
    """A trained and an untrained model's findings, and the trained one's gap in bits."""
    sample = source.held_out(config.held_out, config.length, np.random.default_rng([seed, *HELD_OUT]))
    sizes = LanguageModelConfig(source.vocabulary, config.width, config.layers, config.state)
    task = NextToken(source, new_model(sizes, seed), sample, batch_size=config.batch_size, length=config.length)
    metrics = fit(lambda: task, _training(config, seed), folder)
    log.info("%s: %.4f bits, %+.4f of the source", folder.name, metrics["val/bits"], metrics["val/gap_bits"])
    device = next(task.model.parameters()).device
    load_into(task.model, load_tensors(folder / WEIGHTS), "this model")
    untrained = new_model(sizes, seed).to(device)
    found = [
        measure_model(model.eval(), source, sample, seed=seed, trained=trained, resamples=config.resamples)
        for model, trained in ((task.model, True), (untrained, False))
    ]
    return found[0], found[1], metrics["val/gap_bits"]


def _training(config: StudyConfig, seed: int) -> TrainConfig:
    return TrainConfig(
        steps=config.steps,
        lr=config.lr,
        warmup=max(1, min(50, config.steps // 10)),
        betas=(0.9, 0.98),
        clip_norm=1.0,
        seed=seed,
        validate_every=config.steps,
        checkpoint_s=20.0,
    )


def _checked(config: StudyConfig) -> list[str]:
    for name in config.sources:
        if name not in SOURCES:
            raise ConfigError(f"unknown source {name!r}; {suggest(name, SOURCES)}")
    names = list(config.sources or (name for name in SOURCES if name != "text" or config.text))
    if "text" in names and config.text is None:
        raise ConfigError("the source 'text' needs a file of text, found none; name one with --text")
    if config.length <= 2 * SKIP or config.held_out < 4 or not config.seeds or min(config.steps, config.batch_size) < 1:
        raise ConfigError(
            f"found length {config.length}, {config.held_out} held-out sequences, {len(config.seeds)} seeds, "
            f"{config.steps} steps of {config.batch_size}; expected a length above {2 * SKIP}, at least 4 held-out "
            "sequences and at least 1 of the others"
        )
    return names


def _csv(rows: Sequence[dict[str, object]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)
    return stream.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.6g}"
    return value


def _picture(name: str, finding: Finding, summaries: Sequence[LayerSummary]) -> str:
    """All layers of the first seed's trained model; R² of all seeds in the note."""
    panels = []
    of_information = [row for row in finding.layers if row.measure == "information"]
    for row, delta in zip(of_information, finding.deltas, strict=True):
        over = next(_matching(summaries, name, row.layer))
        note = f"R² {over.statistics['r2'].value:.3f}, ranks {over.statistics['spearman'].value:.3f}"
        seeds = f"{over.seeds} seed{'s' if over.seeds > 1 else ''}"
        relation = row.relation
        panels.append(
            Panel(
                f"layer {row.layer}",
                f"{note} ({seeds})",
                finding.information,
                delta,
                relation.slope,
                relation.intercept,
            )
        )
    estimate = "" if of_information[0].exact else ", estimated"
    label = f"information -log2 p(x_l | x_<l), bits{estimate}"
    return draw_panels(panels, label, "mean Δ over channels", f"{name}: step size against information")


def _matching(summaries: Sequence[LayerSummary], name: str, layer: int) -> Iterator[LayerSummary]:
    key = (name, "trained", layer, "information")
    return (one for one in summaries if (one.source, one.model, one.layer, one.measure) == key)
