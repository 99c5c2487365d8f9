"""`python -m lab intervals`: counts and draws which inputs trained SeRpEnt classifiers keep."""

from pathlib import Path
from typing import Any, Literal

import numpy as np

from exuvia.config import settings
from exuvia.errors import DataError
from exuvia.readers import read_json
from lab.experiments.sequence import data_folder
from lab.ledger.numbers import Number, record_numbers
from lab.lra import draw_intervals
from lab.lra.intervals import Kept, kept_by_kind, layer_intervals
from lab.lra.problems import Source, load_problem, recipe_of
from lab.lra.run import model_config, trained
from lab.variant import parse_variant

PICTURES = 6
"""Number of pictures in a drawing."""


@settings(kw_only=True)
class IntervalsBench:
    """The trained models to analyse."""

    tasks: tuple[str, ...] = ("listops", "text", "image")
    """Tasks of `python -m lab lra`, whose runs are read."""
    mixers: tuple[str, ...] = ("serpent-s4d", "serpent-mamba")
    """Kinds of layers that resample."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds, with one model each."""
    preset: Literal["short", "full"] = "short"
    """As in the runs."""
    examples: int = 200
    """Number of test examples."""
    data: Path | None = None
    """As in the runs."""
    out: Path = Path("runs/lra")
    """Folder of the runs."""
    draw: Path | None = None
    """Folder for a picture of every task and kind of layers."""
    record: Path | None = None
    """Ledger to append the results to."""


def bench_intervals(config: IntervalsBench) -> None:
    """Print how often each kind of step is selected, relative to all steps, in the layer with the strongest preference.

    Examples:
        python -m lab intervals --tasks listops --mixers serpent-mamba --draw figures

    Raises:
        ConfigError: an unknown task, or layers that do not resample.
        DataError: a model is not trained.
        OutputError: a picture or the ledger cannot be written.
    """
    for task in config.tasks:
        problem = load_problem(task, Source(config.data or data_folder(), config.out / "data", config.preset))
        x, valid, _ = problem.splits.test.batch(
            np.random.default_rng(0).permutation(len(problem.splits.test))[: config.examples]
        )
        side = round(x.shape[1] ** 0.5)
        for name in config.mixers:
            found: dict[tuple[int, float, str], list[Kept]] = {}
            for seed in config.seeds:
                folder = _folder(config, task, name, seed)
                model = trained(folder, model_config(problem, recipe_of(task, config.preset), parse_variant(name)))
                for one in kept_by_kind(task, model, x, valid, side):
                    found.setdefault((one.layer, one.rate, one.kind), []).append(one)
                if seed == config.seeds[0] and config.draw is not None:
                    _draw(task, name, model, x, valid, side, config.draw)
            _show(task, name, found)
            numbers = {}
            for (layer, rate, kind), many in found.items():
                values = [one.kept for one in many]
                row = f"intervals.{task}.{config.preset}.{name}.layer{layer}.{rate:g}.{kind.replace(' ', '_')}.kept"
                numbers[row] = Number(float(np.mean(values)), low=min(values), high=max(values))
            record_numbers(config.record, numbers)


def _folder(config: IntervalsBench, task: str, name: str, seed: int) -> Path:
    """Return the finished run of a seed, with the learning rate of the best validation. Raises DataError."""
    found = sorted((config.out / config.preset).glob(f"{task}-{name}-lr*-seed{seed}/result.json"))
    if not found:
        where = config.out / config.preset
        raise DataError(f"{where} holds no trained {name} of seed {seed}; python -m lab lra --tasks {task} makes it")
    return max(found, key=lambda path: read_json(path)["valid_accuracy"]).parent


def _show(task: str, name: str, found: dict[tuple[int, float, str], list[Kept]]) -> None:
    print(f"{task} {name}: selected, relative to all steps, mean over {len(next(iter(found.values())))} seeds")
    for layer, rate in dict.fromkeys((layer, rate) for layer, rate, _ in found):
        kinds = {kind: many for (a, b, kind), many in found.items() if (a, b) == (layer, rate)}
        cells = [f"{kind} {np.mean([one.kept for one in many]):.2f}" for kind, many in kinds.items()]
        print(f"  layer {layer}, rate {rate:g}: {', '.join(cells)}")


def _draw(task: str, name: str, model: Any, x: Any, valid: Any, side: int, folder: Path) -> None:
    """Draw the branch whose intervals vary most, for the first examples."""
    some = layer_intervals(model, x[:PICTURES], None if valid is None else valid[:PICTURES])
    places = [(number, branch) for number, branches in enumerate(some) for branch in branches]
    layer, branch = max(places, key=lambda one: float(one[1].steps.std() / one[1].steps.mean()))
    title = f"{task}, {name}: layer {layer + 1}, rate {branch.rate:g}"
    path = folder / f"{task}-{name}.svg"
    if x.is_floating_point():
        drawn = draw_intervals.draw_pixels(x[:PICTURES].numpy().reshape(-1, side, side), branch, path, title)
    else:
        length = int(valid[0].sum()) if valid is not None else x.shape[1]
        drawn = draw_intervals.draw_tokens(draw_intervals.token_names(task, x[0, :length].numpy()), branch, path, title)
    print(f"wrote {drawn}")
