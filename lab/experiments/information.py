"""`python -m lab information`: tests whether information weights help LCR to choose better codes."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from exuvia.config import settings
from exuvia.errors import ConfigError
from exuvia.evaluation.benchmark import MethodSpec, Plan
from exuvia.judges.metrics import interval
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.readers import read_json
from exuvia.unlearning.information import load_information_model
from exuvia.unlearning.settings import Measure
from lab.benchmark import benchmark_report, values_of
from lab.ledger.names import CRITERIA, Edit
from lab.ledger.numbers import Number, record_numbers

METRICS = {
    "forget_violence_rate": ("forget", "violence_rate"),
    "retain_violence_rate": ("retain", "violence_rate"),
    "retain_fid": ("retain", "fid"),
    "retain_r3": ("retain", "r_precision@3"),
}
"""Name in the ledger -> set and metric of the benchmark."""
SHARED = "shared_codes"
"""Name of the share of codes that an edit and the same edit without weights both replace."""


@settings(kw_only=True)
class InformationBench:
    """The generator and the model that weighs its codes."""

    informant: str
    """Folder of a run of `exuvia train causal` on the same tokenizer; `own` for the generator's own base codes."""
    pipeline: str = "base"
    """Generator to edit."""
    concepts: tuple[str, ...] = ("violence", "kick", "punch_jab_box_hit_beat")
    """Concepts that the classifier of violence can judge."""
    codes: tuple[int, ...] = (16, 64)
    """Numbers of replaced codes (k)."""
    data: Path = Path("stores/mocap")
    """Folder made by `exuvia prepare`."""
    sensors: tuple[str, ...] = ("optical",)
    """Sensors of the test clips whose captions are prompts."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of generation; intervals are over seeds."""
    workers: int = 2
    """Number of worker processes for edits; 0: run edits one after another in this process."""
    out: Path = Path("runs/information")
    """Folder of the benchmarks; an interrupted call continues there."""
    record: Path | None = None
    """Ledger to append the results to."""
    tag: str = ""
    """Behind the concept in the names of rows: for another informant."""


def bench_information(config: InformationBench) -> None:
    """Compare LCR with and without information weights at equal k, seed by seed, on every concept.

    Examples:
        python -m lab information --informant runs/backbones/causal-mamba/run --data stores/mocap

    Raises:
        ConfigError: no informant, an unknown concept, or numbers of codes that repeat.
        DataError: the data cannot be read.
        CheckpointError: the generator or the informant cannot be loaded.
        OutputError: the ledger or the runs cannot be written.
    """
    if not config.codes or len(set(config.codes)) != len(config.codes):
        raise ConfigError(f"found the numbers of codes {list(config.codes)}, expected each once, at least one")
    load_information_model(config.informant, MotionPipeline.from_pretrained(config.pipeline))
    edits = [Edit(k, c, w) for k in config.codes for c in CRITERIA for w in ("", *get_args(Measure))]
    for concept in config.concepts:
        values = _values(config, concept, edits)
        for edit in edits:
            print(f"{concept} {edit.label}: " + ", ".join(f"{k} {_mean(v):.4g}" for k, v in values[edit].items()))
        record_numbers(config.record, dict(numbers(concept + config.tag, values, max(config.codes))))


Values = Mapping[Edit, Mapping[str, tuple[float, ...]]]
"""Edit -> its metrics, one value per seed; and the share of codes in common with the edit without weights."""


def _values(config: InformationBench, concept: str, edits: Sequence[Edit]) -> Values:
    """Run the benchmark of one concept, or read its results."""
    specs = [MethodSpec(edit.label, "lcr", _settings(config, edit)) for edit in edits]
    plan = Plan(
        concept=concept, data=str(config.data), methods=(MethodSpec("none", "none", {}), *specs),
        pipeline=config.pipeline, sensors=config.sensors, seeds=config.seeds,
    )  # fmt: skip
    rows = values_of(benchmark_report(plan, config.out / concept, config.workers))
    found: dict[Edit, dict[str, tuple[float, ...]]] = {edit: {} for edit in edits}
    for edit in edits:
        if edit.weights:
            both = (_codes(config.out / concept, one) for one in (edit, edit._replace(weights="")))
            found[edit][SHARED] = (float(len(set.intersection(*both))),)
        for name, (of, metric) in METRICS.items():
            if (of, edit.label, metric) in rows:
                found[edit][name] = rows[of, edit.label, metric]
    return found


def _codes(run: Path, edit: Edit) -> set[tuple[str, int]]:
    """Return level and index of every code that an edit replaced."""
    replaced = read_json(run / "models" / edit.label / "provenance.json")["edits"][-1]["replaced"]
    return {(level, int(code)) for level, codes in replaced.items() for code in codes}


def _settings(config: InformationBench, edit: Edit) -> dict[str, Any]:
    weighed = {"information": config.informant, "measure": edit.weights} if edit.weights else {}
    return {"num_codes": edit.codes, "criterion": edit.criterion, **weighed}


def _mean(values: Sequence[float]) -> float:
    return float(interval(values).mean)


def numbers(place: str, values: Values, largest: int) -> Iterator[tuple[str, Number]]:
    """Return rows of every edit, and of its difference from the same edit without weights, seed by seed."""
    for edit, metrics in values.items():
        name = edit.name(place, largest)
        for metric, found in metrics.items():
            unit = "emb^2" if metric == "retain_fid" else "1"
            yield f"{name}.{metric}", Number.over(found, unit)
            if edit.weights and metric != SHARED:
                plain = values[edit._replace(weights="")][metric]
                gaps = [a - b for a, b in zip(found, plain, strict=True)]
                yield f"{name}.{metric}.minus_plain", Number.over(gaps, unit)
