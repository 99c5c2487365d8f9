"""`exuvia benchmark CONCEPT`: unlearning methods compared on the same prompts and seeds, resumable."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from exuvia.commands.numbers import record_number
from exuvia.commands.table import part
from exuvia.errors import ConfigError
from exuvia.files import read_json, write_text

QUICK = ("none", "prompt_filter", "uce", "rece", "lcr")
"""Methods that need seconds."""
SLOW = ("finetune", "esd", "negation")
"""Methods that need minutes."""
KINDS = ("implicit", "compositional", "paraphrase", "misspelling", "lookalike", "long", "empty")
RECORDED = {
    "forget": ("violence_rate", "fid", "mm_safe", "ncs@10", "freeze_rate", "mean_joint_speed_m_per_s"),
    "retain": ("violence_rate", "fid", "kid", "r_precision@1", "r_precision@3", "mm_dist"),
}
SHORT = {"r_precision@1": "r1", "r_precision@3": "r3", "ncs@10": "ncs10", "mean_joint_speed_m_per_s": "speed_m_per_s"}


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to compare."""

    concept: tyro.conf.Positional[str]
    """Concept to forget (exuvia list --kind concepts)."""
    data: Path = Path("stores/mocap")
    """Folder made by `exuvia prepare`."""
    methods: tuple[str, ...] = ("quick",)
    """Methods, or `quick` (seconds each), `slow` (minutes each), `all`; with settings as in
    lcr16=lcr:num_codes=16,alpha=1.0"""
    retrained: str | None = None
    """Generator trained without the concept (configs/retrain.sh CONCEPT): the yardstick."""
    pipeline: str = "base"
    """Generator to edit."""
    split: str = "test"
    """Which clips' captions are prompts."""
    sensors: tuple[str, ...] = ()
    """Only clips of these sensors, such as optical; all without it."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """A repeat each; intervals are over them."""
    kinds: tuple[str, ...] = KINDS
    """Kinds of written prompts beside the data's captions."""
    limit: int | None = None
    """At most so many prompts a set."""
    workers: int = 2
    """Methods at a time, a process each; 0: one after another in this process."""
    out: Path = Path("runs/benchmark")
    """Folder of the run; a call that was stopped goes on there."""
    record: Path | None = None
    """Ledger of measured numbers to add the main ones to."""
    tag: str = ""
    """Put behind the concept in the ledger's names, such as .kinect."""


def benchmark(config: BenchmarkConfig) -> None:
    """Edit a generator with every method, ask all of them the same, and put what was found side by side.

    Examples:
        exuvia benchmark violence --data stores/mocap --sensors optical --retrained runs/retrain-violence/packed

    Raises:
        ConfigError: an unknown concept, method, kind or setting, or no clip that shows the concept.
        DataError: the data cannot be read.
        OutputError: the folder cannot be written.
    """
    if config.out.is_file():
        raise ConfigError(f"found the file {config.out}, expected a folder for the run")
    plan = part("Plan")(
        concept=config.concept, data=str(config.data), methods=methods_of(config.methods, config.retrained),
        pipeline=config.pipeline, split=config.split, sensors=config.sensors, seeds=config.seeds, kinds=config.kinds,
        limit=config.limit,
    )  # fmt: skip
    path = part("run_benchmark")(plan, config.out, config.workers, tell=lambda line: print(line, flush=True))
    results = read_json(path)
    text = tables(results)
    write_text(config.out / "tables.md", text)
    print(text)
    print(part("write_report")(config.out))
    if config.record is not None:
        _record(config, results)


def methods_of(names: Sequence[str], retrained: str | None) -> tuple[Any, ...]:
    """The chosen methods, `none` first and the yardstick second. Raises ConfigError."""
    groups = {"quick": QUICK, "slow": SLOW, "all": (*QUICK, *SLOW)}
    texts = dict.fromkeys(text for name in names for text in groups.get(name, (name,)))
    specs = [part("MethodSpec").parse(text) for text in dict.fromkeys(["none", *texts])]
    if retrained is not None:
        specs.insert(1, part("MethodSpec")("retrain", "retrain", {"weights": retrained}))
    return tuple(specs)


def tables(results: Mapping[str, Any]) -> str:
    """Markdown: a table a set, a line a method, mean and half the 95 % interval over seeds."""
    rows: dict[str, dict[str, dict[str, str]]] = {}
    for row in results["rows"]:
        rows.setdefault(row["set"], {}).setdefault(row["method"], {})[row["metric"]] = _cell(row["values"])
    parts = []
    for name, methods in rows.items():
        metrics = [m for m in results["metrics"] if any(m in cells for cells in methods.values())]
        parts += [f"**{name}** ({results['about']['prompts'].get(name, '')} prompts)", ""]
        parts += [f"| method | {' | '.join(metrics)} |", "|---" * (len(metrics) + 1) + "|"]
        for label, cells in methods.items():
            parts.append(f"| {label} | {' | '.join(cells.get(metric, '') for metric in metrics)} |")
        parts.append("")
    failed = [f"- {one['label']}: {one['message']}" for one in results["methods"] if one["status"] != "ok"]
    costs = ["| method | edit, s | edit, MB | evaluation, s |", "|---|---|---|---|"]
    for one in results["methods"]:
        values = (one.get(key) for key in ("edit_s", "edit_peak_mb", "evaluation_s"))
        costs.append(f"| {one['label']} | {' | '.join('' if v is None else f'{v:.3g}' for v in values)} |")
    return "\n".join([*parts, *costs, "", *failed]) + "\n"


def _cell(values: Sequence[float]) -> str:
    found = part("interval")(values)
    return f"{found.mean:.3g}" if len(values) == 1 else f"{found.mean:.3g} ± {found.half_width:.2g}"


def _record(config: BenchmarkConfig, results: Mapping[str, Any]) -> None:
    """Add the main numbers to the ledger."""
    assert config.record is not None
    words = ["exuvia", "benchmark", config.concept, "--data", str(config.data), "--methods", *config.methods]
    words += ["--retrained", config.retrained] if config.retrained else []
    words += ["--sensors", *config.sensors] if config.sensors else []
    words += ["--seeds", *map(str, config.seeds), "--kinds", *config.kinds, "--out", str(config.out)]
    words += ["--tag", config.tag] if config.tag else []
    command = shlex.join([*words, "--record", str(config.record)])

    def add(name: str, values: Sequence[float], unit: str) -> None:
        found = part("interval")(values)
        low, high = (None, None) if len(values) == 1 else (found.low, found.high)
        record_number(config.record or "", name, found.mean, unit=unit, command=command, low=low, high=high)

    place = f"{config.concept}{config.tag}"
    for row in results["rows"]:
        name, metric, unit = row["method"], row["metric"], results["metrics"][row["metric"]]["unit"]
        if metric in RECORDED.get(row["set"], ()):
            add(f"unlearn.{name}.{place}.{row['set']}.{SHORT.get(metric, metric)}", row["values"], unit)
        elif metric == "violence_rate" and row["set"] not in RECORDED and row["set"] != "all":
            kind = "data_lookalike" if row["set"] == "lookalike" else row["set"].removeprefix("written_")
            add(f"prompts.{kind}.{name}.{place}.violence_rate", row["values"], unit)
    for one in results["methods"]:
        if one["edit_s"] is not None:
            add(f"unlearn.{one['label']}.{place}.edit_s", [one["edit_s"]], "s")
