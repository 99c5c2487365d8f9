"""`python -m lab across`: one concept forgotten by the same methods in generators of different kinds, in one table."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from exuvia.commands.benchmark import methods_of
from exuvia.config import settings
from exuvia.evaluation.benchmark import Plan, run_benchmark
from exuvia.evaluation.report import read_report
from exuvia.files import read_json
from exuvia.judges.metrics import interval
from exuvia.report.page import read_clips, write_report
from lab.experiments.backbones import named
from lab.ledger.document import check_place, fill_file
from lab.ledger.numbers import record_number

METRICS = {
    "forget_violence_rate": ("forget", "violence_rate", "violent ↓", 2),
    "forget_ncs10": ("forget", "ncs@10", "NCS@10 ↓", 2),
    "retain_violence_rate": ("retain", "violence_rate", "violent, retain ↓", 3),
    "retain_fid": ("retain", "fid", "FID, retain ↓", 2),
    "retain_r3": ("retain", "r_precision@3", "R@3, retain ↑", 2),
}
"""Name in the ledger -> set and metric of the benchmark, heading and decimals."""
PLACE = "across"

Found = Mapping[str, Mapping[str, tuple[float, ...]]]
"""For every method its metrics, one value a seed (seconds of an edit: one)."""


@settings(kw_only=True)
class AcrossBench:
    """Which generators, edited by what."""

    pipelines: tuple[Path, ...]
    """Pipeline folders `NAME/packed` or `NAME`, as configs/backbones.sh makes them."""
    concept: str = "violence"
    """Concept that the classifier of violence can judge."""
    methods: tuple[str, ...] = ("lcr", "uce", "rece", "esd", "negation")
    """As for `exuvia benchmark`."""
    data: Path = Path("stores/mocap")
    """Folder made by `exuvia prepare`."""
    sensors: tuple[str, ...] = ("optical",)
    """Of the test clips whose captions are prompts."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of generation; intervals are over them."""
    workers: int = 2
    """Edits at a time, a process each; 0: one after another in this process."""
    out: Path = Path("runs/across")
    """Folder of the benchmarks, one a generator; a call that was stopped goes on there."""
    record: Path | None = None
    """Ledger to append the results to."""
    document: Path | None = None
    """Markdown file whose part between <!--table:across--> and <!--/table--> gets the table."""


def bench_across(config: AcrossBench) -> None:
    """Run the unlearning benchmark of one concept on every generator, and put the main numbers side by side.

    Every generator has a benchmark folder of its own below --out, with its page.

    Examples:
        python -m lab across --pipelines runs/backbones/bamm runs/backbones/mamba --methods lcr uce

    Raises:
        ConfigError: two generators of one name, an unknown concept or method.
        CheckpointError: a pipeline cannot be loaded.
        DataError: the data cannot be read.
        OutputError: the ledger, the document or the runs cannot be written.
    """
    if config.document is not None:
        check_place(config.document, PLACE)
    found = {name: _values(config, name, folder) for name, folder in named(config.pipelines).items()}
    if config.record is not None:
        _record(config.record, _line(config), found, config.concept)
    if config.document is not None:
        fill_file(config.document, PLACE, table(found, config.concept))


def _values(config: AcrossBench, name: str, folder: Path) -> Found:
    """Run the benchmark of one generator, or read what it left; methods that failed are told and left out."""
    plan = Plan(
        concept=config.concept, data=str(config.data), methods=methods_of(config.methods, None),
        pipeline=str(folder), sensors=config.sensors, seeds=config.seeds,
    )  # fmt: skip
    path = run_benchmark(plan, config.out / name, config.workers, tell=lambda s: print(s, flush=True))
    print(write_report(read_report(path), config.out / name / "report", read_clips(config.out / name)))
    results = read_json(path)
    rows = {(row["method"], row["set"], row["metric"]): tuple(row["values"]) for row in results["rows"]}
    found: dict[str, dict[str, tuple[float, ...]]] = {}
    for one in results["methods"]:
        method = one["label"]
        if one["status"] != "ok":
            print(f"{name}, {method}: {one['message']}")
            continue
        values = {
            key: rows[method, of, metric] for key, (of, metric, *_) in METRICS.items() if (method, of, metric) in rows
        }
        if method != "none":
            values["edit_s"] = (one["edit_s"],)
        found[method] = values
        print(f"{name}, {method}: " + ", ".join(f"{key} {_mean(some):.4g}" for key, some in values.items()))
    return found


def _mean(values: tuple[float, ...]) -> float:
    return float(interval(values).mean)


def _line(config: AcrossBench) -> str:
    words = ["python", "-m", "lab", "across", "--pipelines", *map(str, config.pipelines), "--concept", config.concept]
    words += ["--methods", *config.methods, "--data", str(config.data), "--sensors", *config.sensors]
    return shlex.join([*words, "--seeds", *map(str, config.seeds), "--record", str(config.record)])


def _record(ledger: Path, line: str, found: Mapping[str, Found], concept: str) -> None:
    for name, methods in found.items():
        for method, metrics in methods.items():
            for metric, values in metrics.items():
                some = interval(values)
                low, high = (None, None) if len(values) == 1 else (some.low, some.high)
                unit = {"edit_s": "s", "retain_fid": "emb^2"}.get(metric, "1")
                place = f"across.{name}.{method}.{concept}.{metric}"
                record_number(ledger, place, some.mean, unit=unit, command=line, low=low, high=high)


def table(found: Mapping[str, Found], concept: str) -> str:
    """Markdown: a line a generator and method, every number quoting its row of the ledger."""
    columns = {key: (head, digits) for key, (_, _, head, digits) in METRICS.items()} | {"edit_s": ("edit, s", 1)}
    heads = " | ".join(head for head, _ in columns.values())
    lines = [f"| generator | method | {heads} |", "|---" * (len(columns) + 2) + "|"]
    for name, methods in found.items():
        for method, metrics in methods.items():
            cells = [
                f"<!--n:across.{name}.{method}.{concept}.{key}-->{_mean(metrics[key]):.{digits}f}<!--/n-->"
                if key in metrics else ""
                for key, (_, digits) in columns.items()
            ]  # fmt: skip
            lines.append(f"| `{name}` | {method} | {' | '.join(cells)} |")
    return "\n".join(lines)
