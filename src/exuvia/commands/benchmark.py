"""`exuvia benchmark CONCEPT`: unlearning methods compared on the same prompts and seeds, resumable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from exuvia.errors import ConfigError
from exuvia.files import read_json, write_text

QUICK = ("none", "prompt_filter", "uce", "rece", "lcr")
"""Methods that need seconds."""
SLOW = ("finetune", "esd", "negation")
"""Methods that need minutes."""
RELEASED = (
    "uce_released=uce:variant=released",
    "rece_released=rece:variant=released,epochs=1,regular_scale=0.001",
    "lcr_released=lcr:variant=released,destination=0",
)
"""The published arithmetic of those that have one."""
KINDS = ("implicit", "compositional", "paraphrase", "misspelling", "lookalike", "long", "empty")


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to compare."""

    concept: tyro.conf.Positional[str]
    """Concept to forget (exuvia list --kind concepts)."""
    data: Path = Path("stores/mocap")
    """Folder made by `exuvia prepare`."""
    methods: tuple[str, ...] = ("quick",)
    """Methods, or `quick` (seconds each), `slow` (minutes each), `all` of these, `released` (the published arithmetic);
    with settings as in lcr16=lcr:num_codes=16,alpha=1.0"""
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
    refine: int = 0
    """Motions of the unedited generator for every forget caption: a clip stays in the forget set where retrieval finds
    the concept near 8 of 10 of them (published: 10). 0: the set as the rule has it."""
    evaluator: Path | None = None
    """Folder of a text-motion evaluator of one's own, trained there first where there is none; None: the shipped one,
    which knows the development data."""
    workers: int = 2
    """Methods at a time, a process each; 0: one after another in this process."""
    out: Path = Path("runs/benchmark")
    """Folder of the run; a call that was stopped goes on there."""


def benchmark(config: BenchmarkConfig) -> None:
    """Edit a generator with every method, ask all of them the same, and put what was found side by side.

    Examples:
        exuvia benchmark violence --data stores/mocap --sensors optical --retrained runs/retrain-violence/packed

    Raises:
        ConfigError: an unknown concept, method, kind or setting, or no clip that shows the concept.
        DataError: the data cannot be read.
        OutputError: the folder cannot be written.
    """
    from exuvia.evaluation.benchmark import Plan, run_benchmark
    from exuvia.report.page import write_report

    if config.out.is_file():
        raise ConfigError(f"found the file {config.out}, expected a folder for the run")
    plan = Plan(
        concept=config.concept, data=str(config.data), methods=methods_of(config.methods, config.retrained),
        pipeline=config.pipeline, split=config.split, sensors=config.sensors, seeds=config.seeds, kinds=config.kinds,
        limit=config.limit, refine=config.refine, evaluator=_evaluator(config),
    )  # fmt: skip
    path = run_benchmark(plan, config.out, config.workers, tell=lambda line: print(line, flush=True))
    results = read_json(path)
    text = tables(results)
    write_text(config.out / "tables.md", text)
    print(text)
    print(write_report(config.out))


def _evaluator(config: BenchmarkConfig) -> str:
    """The folder of the wanted evaluator, which is trained there if need be; "" for the shipped one."""
    from exuvia.recipes.evaluator import EvaluatorRecipe, train_evaluator

    if config.evaluator is None:
        return ""
    if not (config.evaluator / "config.json").is_file():
        print(f"{config.evaluator} holds no evaluator: training one on {config.data} first, which takes a while")
        recipe = EvaluatorRecipe(out=str(config.evaluator), data=(str(config.data),))
        train_evaluator(recipe)
    return str(config.evaluator)


def methods_of(names: Sequence[str], retrained: str | None) -> tuple[Any, ...]:
    """The chosen methods, `none` first and the yardstick second. Raises ConfigError."""
    from exuvia.evaluation.benchmark import MethodSpec

    groups = {"quick": QUICK, "slow": SLOW, "all": (*QUICK, *SLOW), "released": RELEASED}
    texts = dict.fromkeys(text for name in names for text in groups.get(name, (name,)))
    specs = [MethodSpec.parse(text) for text in dict.fromkeys(["none", *texts])]
    if retrained is not None:
        specs.insert(1, MethodSpec("retrain", "retrain", {"weights": retrained}))
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
    from exuvia.judges.metrics import interval

    found = interval(values)
    return f"{found.mean:.3g}" if len(values) == 1 else f"{found.mean:.3g} ± {found.half_width:.2g}"
