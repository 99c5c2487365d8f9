"""`python -m lab across`: the same unlearning methods on generators of different kinds, in one table."""

from collections.abc import Mapping
from pathlib import Path

from exuvia.commands.benchmark import methods_of
from exuvia.config import settings
from exuvia.evaluation.benchmark import Plan
from exuvia.report.page import read_clips, write_report
from lab.benchmark import benchmark_report, values_of
from lab.experiments.backbones import named
from lab.ledger.numbers import Number, record_numbers

METRICS = {
    "forget_violence_rate": ("forget", "violence_rate"),
    "forget_ncs10": ("forget", "ncs@10"),
    "retain_violence_rate": ("retain", "violence_rate"),
    "retain_fid": ("retain", "fid"),
    "retain_r3": ("retain", "r_precision@3"),
}
"""Name in the ledger -> set and metric of the benchmark."""
UNITS = {"retain_fid": "emb^2"}

Measured = Mapping[str, Mapping[str, Number]]
"""Method -> its numbers by their names in the ledger."""


@settings(kw_only=True)
class AcrossBench:
    """The generators and methods to compare."""

    pipelines: tuple[Path, ...]
    """Pipeline folders `NAME/packed` or `NAME`, as configs/backbones.sh makes them."""
    concept: str = "violence"
    """Concept that the classifier of violence can judge."""
    methods: tuple[str, ...] = ("lcr", "uce", "rece", "esd", "negation")
    """Methods, as for `exuvia benchmark`."""
    data: Path = Path("stores/mocap")
    """Folder made by `exuvia prepare`."""
    sensors: tuple[str, ...] = ("optical",)
    """Sensors of the test clips whose captions are prompts."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of generation; intervals are over seeds."""
    workers: int = 2
    """Number of worker processes for edits; 0: run edits one after another in this process."""
    out: Path = Path("runs/across")
    """Folder of the benchmarks, one per generator; an interrupted call continues there."""
    record: Path | None = None
    """Ledger to append the results to."""


def bench_across(config: AcrossBench) -> None:
    """Run the unlearning benchmark of one concept on every generator, and put the main numbers side by side.

    Every generator has a separate benchmark folder below --out, with a page.

    Examples:
        python -m lab across --pipelines runs/backbones/bamm runs/backbones/mamba --methods lcr uce

    Raises:
        ConfigError: two generators of one name, an unknown concept or method.
        CheckpointError: a pipeline cannot be loaded.
        DataError: the data cannot be read.
        OutputError: the ledger or the runs cannot be written.
    """
    found = {name: _values(config, name, folder) for name, folder in named(config.pipelines).items()}
    numbers = {
        f"across.{name}.{method}.{config.concept}.{metric}": number
        for name, methods in found.items()
        for method, metrics in methods.items()
        for metric, number in metrics.items()
    }
    record_numbers(config.record, numbers)


def _values(config: AcrossBench, name: str, folder: Path) -> Measured:
    """Run the benchmark of one generator, or read its results; print failed methods and leave them out."""
    plan = Plan(
        concept=config.concept, data=str(config.data), methods=methods_of(config.methods, None),
        pipeline=str(folder), sensors=config.sensors, seeds=config.seeds,
    )  # fmt: skip
    report = benchmark_report(plan, config.out / name, config.workers)
    print(write_report(report, config.out / name / "report", read_clips(config.out / name)))
    rows = values_of(report)
    measured: dict[str, dict[str, Number]] = {}
    for method in report.methods:
        if method.status != "ok":
            print(f"{name}, {method.label}: {method.message}")
            continue
        places = {key: (of, method.label, metric) for key, (of, metric) in METRICS.items()}
        numbers = {k: Number.over(rows[p], UNITS.get(k, "1")) for k, p in places.items() if p in rows}
        if method.name != "none" and method.edit_s is not None:
            numbers["edit_s"] = Number(method.edit_s, "s")
        measured[method.label] = numbers
        print(f"{name}, {method.label}: " + ", ".join(f"{key} {one.value:.4g}" for key, one in numbers.items()))
    return measured
