"""`exuvia benchmark CONCEPT`: compares unlearning methods on the same prompts and seeds; resumable."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from pydantic import Field

from exuvia.config import Count, Seed, settings
from exuvia.errors import ConfigError
from exuvia.registry import UNLEARN
from exuvia.unlearning.settings import method_settings

RELEASED = (
    "uce_released=uce:variant=released",
    "rece_released=rece:variant=released,epochs=1,regular_scale=0.001",
    "lcr_released=lcr:variant=released,destination=0",
)
"""Methods with the settings of their published arithmetic."""
KINDS = ("implicit", "compositional", "paraphrase", "misspelling", "lookalike", "long", "empty")


@settings
class BenchmarkConfig:
    """Settings of the comparison."""

    concept: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CONCEPT")]
    """Concept to forget (exuvia list --kind concepts)."""
    data: Path = Path("stores/mocap")
    """Folder made by `exuvia prepare`."""
    methods: tuple[str, ...] = ("quick",)
    """Methods, or groups: `quick` (seconds each), `slow` (minutes each), `all` of these, `released` (the published
    arithmetic). Settings follow a name, as in lcr16=lcr:num_codes=16,alpha=1.0"""
    retrained: str | None = None
    """Generator trained without the concept (configs/retrain.sh CONCEPT), as the yardstick."""
    pipeline: str = "base"
    """Generator to edit."""
    split: str = "test"
    """Split of the data whose captions are prompts."""
    sensors: tuple[str, ...] = ()
    """Sensors of the clips to use, such as optical; without it, all."""
    seeds: tuple[Seed, ...] = (0, 1, 2, 3, 4)
    """Seeds, one repeat each; intervals are over repeats."""
    kinds: tuple[str, ...] = KINDS
    """Kinds of written prompts to use in addition to the data's captions."""
    limit: Count | None = None
    """Maximum number of prompts in a set."""
    refine: Annotated[int, Field(ge=0, le=1000)] = 0
    """Number of motions of the unedited generator for every forget caption (published: 10). A clip stays in the forget
    set if retrieval finds the concept near 8 of 10 of them. 0: the set is not refined."""
    evaluator: Path | None = None
    """Folder of your own text-motion evaluator, which is trained first if it is missing; None: the shipped one, which
    was trained on the development data."""
    workers: Annotated[int, Field(ge=0, le=256)] = 2
    """Number of parallel processes, one method each; 0: one method after another in this process."""
    out: Path = Path("runs/benchmark")
    """Folder of the run; a stopped run continues there."""


def benchmark(config: BenchmarkConfig) -> None:
    """Edit a generator with every method, and compare the results on the same prompts and seeds."""
    from exuvia.evaluation.benchmark import Plan, run_benchmark
    from exuvia.evaluation.report import read_report
    from exuvia.report.page import read_clips, write_report

    if config.out.is_file():
        raise ConfigError(f"found the file {config.out}, expected a folder for the run")
    plan = Plan(
        concept=config.concept, data=str(config.data), methods=methods_of(config.methods, config.retrained),
        pipeline=config.pipeline, split=config.split, sensors=config.sensors, seeds=config.seeds, kinds=config.kinds,
        limit=config.limit, refine=config.refine,
    )  # fmt: skip
    plan = replace(plan, evaluator=_evaluator(config))  # trained only for a valid plan
    path = run_benchmark(plan, config.out, config.workers, log=lambda line: print(line, flush=True))
    report = read_report(path)
    print(report)
    print(write_report(report, config.out / "report", read_clips(config.out), overwrite=True))


def _evaluator(config: BenchmarkConfig) -> str:
    """Folder of the chosen evaluator, which is trained if necessary; "" for the shipped one."""
    from exuvia.data.settings import CorpusConfig
    from exuvia.recipes.judges import train_judge
    from exuvia.recipes.settings import EvaluatorRecipe

    if config.evaluator is None:
        return ""
    if not (config.evaluator / "config.json").is_file():
        print(f"{config.evaluator} holds no evaluator: training one on {config.data} first, which takes a while")
        recipe = EvaluatorRecipe(out=str(config.evaluator), corpus=CorpusConfig(data=(str(config.data),)))
        train_judge(recipe)
    return str(config.evaluator)


def methods_of(names: Sequence[str], retrained: str | None) -> tuple[Any, ...]:
    """The chosen methods after `none` and the yardstick. Raises ConfigError."""
    from exuvia.evaluation.benchmark import MethodSpec

    cost = {name: method_settings(name).cost for name in UNLEARN}
    quick, slow = ([name for name in UNLEARN if cost[name] == wanted] for wanted in ("seconds", "minutes"))
    groups = {"quick": quick, "slow": slow, "all": [*quick, *slow], "released": RELEASED}
    texts = dict.fromkeys(text for name in names for text in groups.get(name, (name,)))
    specs = [MethodSpec.parse(text) for text in dict.fromkeys(["none", *texts])]
    if retrained is not None:
        specs.insert(1, MethodSpec("retrain", "retrain", {"weights": retrained}))
    return tuple(specs)
