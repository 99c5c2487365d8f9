"""The tasks by name, each with its data and two presets: `short` for two cores, `full` as published.

`short` keeps the question and makes the sequences shorter, so that small models learn something within minutes: trees
of 21 to 99 symbols, the first 512 bytes of a review, pictures of 16 x 16 (CIFAR-10 averaged over 2 x 2 pixels,
Pathfinder drawn small). Its numbers are for comparing models with each other, never with published ones.

`full` follows the settings of S4 (state-spaces/s4, configs/experiment/lra/s4-*.yaml): 6 layers, AdamW with decay 0.05,
a tenth of the steps as warm-up, then cosine. Every mixer gets the number of parameters that S4D has at the published
width with 64 states; S4's own runs have 4 states on ListOps and Text.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from exuvia.errors import ConfigError, DataError
from exuvia.files import whole_file
from exuvia.readers import read_npz
from exuvia.registry import suggest
from exuvia.sequence.settings import StackConfig
from exuvia.train import TrainConfig
from lab.lra import image, listops, probes, retrieval, text
from lab.lra.image import PixelSequences
from lab.lra.listops import ListOpsConfig
from lab.lra.packed import Packed
from lab.lra.pathfinder.generate import generate
from lab.lra.pathfinder.tables import PRESETS, PathfinderConfig
from lab.lra.run import Problem, Recipe
from lab.lra.task import Sequences, Splits
from lab.stack import parameters

Size = Literal["short", "full"]
PROBE_LENGTH = 256
LISTOPS_COUNTS = {"short": (50_000, 1000, 2000), "full": (96_000, 2000, 2000)}
"""Training, validation and test trees; `full` is the published split."""
LISTOPS_TREES = {"short": ListOpsConfig(max_args=5, shortest=20, longest=100), "full": ListOpsConfig()}
TEXT_BYTES = {"short": 512, "full": text.LONGEST}
IMAGE_SIDE = {"short": 16, "full": image.SIDE}
PATHFINDER_COUNTS = {"short": (50_000, 1000, 2000), "full": (160_000, 20_000, 20_000)}
"""Training, validation and test pictures; `full` is the published split."""
SMALL_PATHFINDER = PathfinderConfig(16, 1, 3, contour_length=4, distractor_length=2, distractors=1, contrast="equal")
SHORT_RATES = (2e-3, 5e-3)
"""Learning rates of `short`: what suits S4D is too fast for SeRpEnt over Mamba, and the other way round."""
SHORT_TEST = 5000
"""Test examples of `short`."""
THREADS = 2
"""That draw pictures."""
HELD_OUT_REVIEWS = 2500
"""Training reviews for validation in Text, every tenth one; the published runs validate on the test set."""


@dataclass(frozen=True)
class Source:
    """Where data are found and kept."""

    data: Path | None
    """Folder in which aclImdb (or its archive) and cifar10 are looked for."""
    cache: Path
    """Folder for generated data."""
    size: Size = "short"


def load_problem(name: str, source: Source) -> Problem:
    """A task with its data.

    Raises:
        ConfigError: no task of this name.
        DataError: its data are not there.
    """
    if name not in PROBLEMS:
        raise ConfigError(f"unknown task {name!r}; {suggest(name, PROBLEMS)}")
    return PROBLEMS[name](source)


def recipe_of(name: str, size: Size) -> Recipe:
    """How the models of a task are built and trained. Raises ConfigError for an unknown task or size."""
    if name not in PROBLEMS:
        raise ConfigError(f"unknown task {name!r}; {suggest(name, PROBLEMS)}")
    if size == "short":
        return SHORT.get(name, _short(1200, 32))
    if size == "full" and name in FULL:
        return FULL[name]()
    raise ConfigError(f"{name} has no preset {size!r}; known: short{', full' if name in FULL else ''}")


def _short(steps: int, batch: int) -> Recipe:
    warmup = max(1, steps // 10)
    train = TrainConfig(steps=steps, warmup=warmup, weight_decay=0.05, clip_norm=1.0, validate_every=steps)
    return Recipe(60_000, 2, batch, train, rates=SHORT_RATES, test_limit=SHORT_TEST)


def _full(width: int, steps: int, batch: int, lr: float, dropout: float = 0.0) -> Recipe:
    train = TrainConfig(steps=steps, lr=lr, warmup=steps // 10, weight_decay=0.05, validate_every=5000)
    budget = parameters(StackConfig(width, 6, "s4d", causal=False))
    return Recipe(budget, 6, batch, replace(train, clip_norm=1.0), heads=8, dropout=dropout)


SHORT = {
    "listops": _short(2000, 32),
    "text": _short(1200, 16),
    "image": _short(800, 32),
    "retrieval": _short(1000, 4),
    "pathfinder": _short(3000, 32),
    "pathx": _short(500, 2),
}
FULL: dict[str, Callable[[], Recipe]] = {
    "listops": lambda: _full(256, 120_000, 32, 0.01),
    "text": lambda: _full(256, 50_000, 16, 0.01),
    "image": lambda: _full(512, 180_000, 50, 0.01, dropout=0.1),
    "retrieval": lambda: _full(256, 50_000, 64, 0.01),
    "pathfinder": lambda: _full(256, 500_000, 64, 0.004),
    "pathx": lambda: _full(256, 500_000, 16, 0.001),
}


def _problem(
    name: str,
    train: Sequences,
    valid: Sequences,
    test: Sequences,
    labels: np.ndarray,
    classes: int,
    vocabulary: int = 0,
) -> Problem:
    chance = float(np.bincount(labels, minlength=classes).max() / max(1, len(labels)))
    return Problem(name, Splits(train, valid, test), classes, vocabulary, chance=chance)


def _listops(source: Source) -> Problem:
    counts = LISTOPS_COUNTS[source.size]
    path = source.cache / f"listops-{source.size}-{sum(counts)}.npz"
    if path.is_file():
        kept = read_npz(path, ("tokens", "offsets", "labels"))
        data = Packed(kept["tokens"], kept["offsets"], kept["labels"])
    else:
        data = listops.generate(sum(counts), seed=0, config=LISTOPS_TREES[source.size])
        with whole_file(path) as temporary, open(temporary, "wb") as stream:
            np.savez_compressed(stream, tokens=data.tokens, offsets=data.offsets, labels=data.labels)
    first, second = counts[0], counts[0] + counts[1]
    test = data.part(second, len(data))
    parts = data.part(0, first), data.part(first, second), test
    return _problem("listops", *parts, test.labels, listops.CLASSES, listops.VOCABULARY)


def _text(source: Source) -> Problem:
    longest = TEXT_BYTES[source.size]
    train, test = text.read_imdb(_found(source, "aclImdb", "aclImdb.tar.xz", "aclImdb_v1.tar.gz"), longest)
    order = np.random.default_rng(0).permutation(len(train))
    held = min(HELD_OUT_REVIEWS, len(train) // 10)
    parts = [
        Packed.of([train[int(n)] for n in rows], train.labels[rows].tolist(), train.longest)
        for rows in (order[held:], order[:held])
    ]
    return _problem("text", parts[0], parts[1], test, test.labels, text.CLASSES, text.VOCABULARY)


def _image(source: Source) -> Problem:
    parts = image.read_cifar10(_found(source, "cifar10", "cifar-10-batches-bin", "cifar-10-batches-py"))
    train, valid, test = (image.shrunk(part, IMAGE_SIDE[source.size]) for part in parts)
    return _problem("image", train, valid, test, test.labels, image.CLASSES)


def _retrieval(source: Source) -> Problem:
    train, valid, test = retrieval.read_pairs(_found(source, "lra_release/lra_release/tsv_data", "tsv_data", "aan"))
    problem = _problem("retrieval", train, valid, test, test.labels, retrieval.CLASSES, retrieval.VOCABULARY)
    return replace(problem, pair=True)


def _pathfinder(name: str, preset: str, source: Source) -> Problem:
    """Return newly generated pictures in the published manner, as sequences of pixels normalised as in s4."""
    small = source.size == "short" and name == "pathfinder"
    counts, config = PATHFINDER_COUNTS[source.size], SMALL_PATHFINDER if small else PRESETS[preset]
    path = source.cache / f"{name}-{source.size}-{sum(counts)}.npz"
    if path.is_file():
        kept = read_npz(path, ("images", "labels"))
        images, labels = kept["images"], kept["labels"]
    else:
        images, labels = generate(sum(counts), config, seed=0, threads=THREADS)
        with whole_file(path) as temporary, open(temporary, "wb") as stream:
            np.savez_compressed(stream, images=images, labels=labels)
    data = PixelSequences(images.reshape(len(images), -1), labels, mean=127.5, deviation=127.5)
    parts = [data.part(rows) for rows in np.split(np.arange(len(data)), np.cumsum(counts[:2]))]
    return _problem(name, parts[0], parts[1], parts[2], parts[2].labels, classes=2)


def _probe(name: str, make: Callable[[int, int, int], Packed | PixelSequences], classes: int, tokens: bool) -> Problem:
    train, valid, test = (make(count, PROBE_LENGTH, seed) for seed, count in enumerate((50_000, 1000, 5000)))
    return _problem(name, train, valid, test, test.labels, classes, probes.VOCABULARY if tokens else 0)


def _found(source: Source, *names: str) -> Path:
    """The first of several names in the data folder or in its folder `text`."""
    folders = [] if source.data is None else [source.data, source.data / "text"]
    for path in (folder / name for folder in folders for name in names):
        if path.exists():
            return path
    where = source.data if source.data is not None else "no folder"
    raise DataError(f"found none of {', '.join(names)} in {where}; name the folder that holds one with --data")


PROBLEMS: dict[str, Callable[[Source], Problem]] = {
    "listops": _listops,
    "text": _text,
    "image": _image,
    "retrieval": _retrieval,
    "pathfinder": lambda source: _pathfinder("pathfinder", "32", source),
    "pathx": lambda source: _pathfinder("pathx", "128", source),
    "induction": lambda source: _probe("induction", probes.induction, probes.LETTERS, True),
    "copying": lambda source: _probe("copying", probes.copying, probes.LETTERS, True),
    "events": lambda source: _probe("events", probes.events, 4, False),
}
