"""`python -m lab information`: does LCR pick better codes where a code counts by the information it carries?"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

from exuvia.config import settings
from exuvia.errors import ConfigError
from exuvia.evaluation.benchmark import MethodSpec, Plan, run_benchmark
from exuvia.files import read_json
from exuvia.judges.metrics import interval
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.information import load_informant
from exuvia.unlearning.settings import Measure
from lab.ledger.document import check_place, fill_file
from lab.ledger.numbers import record_number

CRITERIA = ("both", "frequency")
"""LCR's own choice, and the paper's first criterion alone."""
METRICS = {
    "forget_violence_rate": ("forget", "violence_rate", "violent ↓", 3),
    "retain_violence_rate": ("retain", "violence_rate", "violent, retain ↓", 3),
    "retain_fid": ("retain", "fid", "FID, retain ↓", 2),
    "retain_r3": ("retain", "r_precision@3", "R@3, retain ↑", 3),
}
"""Name in the ledger -> set and metric of the benchmark, heading and decimals."""
SHARED = "shared_codes"
"""Codes that an edit and the same edit without weights both replace."""
MAIN = ("both", "intervals")
"""Criterion and weights whose rows have no more than the concept in their names, at the largest number of codes."""


@settings(kw_only=True)
class InformationBench:
    """Which generator, weighed by what."""

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
    """Of the test clips whose captions are prompts."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of generation; intervals are over them."""
    workers: int = 2
    """Edits at a time, a process each; 0: one after another in this process."""
    out: Path = Path("runs/information")
    """Folder of the benchmarks; a call that was stopped goes on there."""
    record: Path | None = None
    """Ledger to append the results to."""
    document: Path | None = None
    """Markdown file whose part between <!--table:information--> and <!--/table--> gets the tables."""
    tag: str = ""
    """Behind the concept in the names of rows and behind `information` in that of the part: for another informant."""


class Edit(NamedTuple):
    """One way to choose the codes."""

    codes: int
    criterion: str
    weights: str
    """A measure of information.py, or "" for none."""

    @property
    def label(self) -> str:
        """Of the benchmark's method."""
        return f"k{self.codes}_{self.criterion}_{self.weights or 'plain'}"


def bench_information(config: InformationBench) -> None:
    """Compare LCR with and without information weights at equal k, seed by seed, on every concept.

    Examples:
        python -m lab information --informant runs/backbones/causal-mamba/run --data stores/mocap

    Raises:
        ConfigError: no informant, an unknown concept, or numbers of codes that repeat.
        DataError: the data cannot be read.
        CheckpointError: the generator or the informant cannot be loaded.
        OutputError: the ledger, the document or the runs cannot be written.
    """
    if not config.codes or len(set(config.codes)) != len(config.codes):
        raise ConfigError(f"found the numbers of codes {list(config.codes)}, expected each once, at least one")
    if config.document is not None:
        check_place(config.document, f"information{config.tag}")
    load_informant(config.informant, MotionPipeline.from_pretrained(config.pipeline))
    edits = [Edit(k, c, w) for k in config.codes for c in CRITERIA for w in ("", *get_args(Measure))]
    tables = []
    for concept in config.concepts:
        values = _values(config, concept, edits)
        for edit in edits:
            print(f"{concept} {edit.label}: " + ", ".join(f"{k} {_mean(v):.4g}" for k, v in values[edit].items()))
        if config.record is not None:
            _record(config, concept, values)
        tables.append(table(concept + config.tag, values, max(config.codes)))
    if config.document is not None:
        fill_file(config.document, f"information{config.tag}", "\n\n".join(tables))


Values = Mapping[Edit, Mapping[str, tuple[float, ...]]]
"""For every edit its metrics, one value a seed; codes shared with the edit without weights, one number."""


def _values(config: InformationBench, concept: str, edits: Sequence[Edit]) -> Values:
    """Run the benchmark of one concept, or read what it left."""
    specs = [MethodSpec(edit.label, "lcr", _settings(config, edit)) for edit in edits]
    plan = Plan(
        concept=concept, data=str(config.data), methods=(MethodSpec("none", "none", {}), *specs),
        pipeline=config.pipeline, sensors=config.sensors, seeds=config.seeds,
    )  # fmt: skip
    path = run_benchmark(plan, config.out / concept, config.workers, tell=lambda s: print(s, flush=True))
    rows = {(row["method"], row["set"], row["metric"]): tuple(row["values"]) for row in read_json(path)["rows"]}
    found: dict[Edit, dict[str, tuple[float, ...]]] = {edit: {} for edit in edits}
    for edit in edits:
        if edit.weights:
            both = (_codes(config.out / concept, one) for one in (edit, edit._replace(weights="")))
            found[edit][SHARED] = (float(len(set.intersection(*both))),)
        for name, (of, metric, *_) in METRICS.items():
            if (edit.label, of, metric) in rows:
                found[edit][name] = rows[edit.label, of, metric]
    return found


def _codes(run: Path, edit: Edit) -> set[tuple[str, int]]:
    """Level and index of every code that an edit replaced."""
    replaced = read_json(run / "models" / edit.label / "provenance.json")["edits"][-1]["replaced"]
    return {(level, int(code)) for level, codes in replaced.items() for code in codes}


def _settings(config: InformationBench, edit: Edit) -> dict[str, Any]:
    weighed = {"information": config.informant, "measure": edit.weights} if edit.weights else {}
    return {"num_codes": edit.codes, "criterion": edit.criterion, **weighed}


def _mean(values: Sequence[float]) -> float:
    return float(interval(values).mean)


def name_of(concept: str, edit: Edit, largest: int) -> str:
    """Ledger name of an edit's rows: `lcr.information_weighted.CONCEPT`, a tag, and what sets the edit apart."""
    main = edit.codes == largest and (edit.criterion, edit.weights) == MAIN
    return f"lcr.information_weighted.{concept}" + ("" if main else f".{edit.label}")


def _record(config: InformationBench, concept: str, values: Values) -> None:
    assert config.record is not None
    words = ["python", "-m", "lab", "information", "--informant", config.informant, "--data", str(config.data)]
    words += [] if config.pipeline == "base" else ["--pipeline", config.pipeline]
    words += ["--concepts", *config.concepts, "--codes", *map(str, config.codes), "--sensors", *config.sensors]
    words += ["--tag", config.tag] if config.tag else []
    line = shlex.join([*words, "--seeds", *map(str, config.seeds), "--record", str(config.record)])
    for edit, metrics in values.items():
        name = name_of(concept + config.tag, edit, max(config.codes))
        for metric, some in metrics.items():
            unit = "1" if metric != "retain_fid" else "emb^2"
            _write(config.record, f"{name}.{metric}", some, unit, line)
            if edit.weights and metric != SHARED:
                plain = values[edit._replace(weights="")][metric]
                gaps = [a - b for a, b in zip(some, plain, strict=True)]
                _write(config.record, f"{name}.{metric}.minus_plain", gaps, unit, line)


def _write(ledger: Path, name: str, values: Sequence[float], unit: str, line: str) -> None:
    found = interval(values)
    low, high = (None, None) if len(values) == 1 else (found.low, found.high)
    record_number(ledger, name, found.mean, unit=unit, command=line, low=low, high=high)


def table(concept: str, values: Values, largest: int) -> str:
    """Markdown: a line an edit; in brackets its mean less that of the same edit without weights."""
    heads = ["codes shared with plain", *(head for _, _, head, _ in METRICS.values())]
    lines = [f"| {concept} | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for edit in values:
        name, shared = name_of(concept, edit, largest), values[edit].get(SHARED)
        cells = [f"<!--n:{name}.{SHARED}-->{_mean(shared):.0f}<!--/n-->" if shared else ""]
        cells += [_cell(values, edit, metric, name) for metric in METRICS]
        title = f"`k = {edit.codes}`, {edit.criterion}" + (f", {edit.weights}" if edit.weights else "")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(values: Values, edit: Edit, metric: str, name: str) -> str:
    """Mean over seeds, and for weighted counts the paired difference; `clear` where its 95 % interval leaves zero."""
    if metric not in values[edit]:
        return ""
    mine, digits = values[edit][metric], METRICS[metric][-1]
    text = f"<!--n:{name}.{metric}-->{_mean(mine):.{digits}f}<!--/n-->"
    if not edit.weights:
        return text
    plain = values[edit._replace(weights="")][metric]
    gap = interval([a - b for a, b in zip(mine, plain, strict=True)])
    quoted = f"<!--n:{name}.{metric}.minus_plain-->{gap.mean:.{digits}f}<!--/n-->"
    return f"{text} ({quoted}{'' if gap.low <= 0 <= gap.high else ', clear'})"
