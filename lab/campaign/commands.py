"""The commands to kill, at sizes that take about a second each."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from lab.campaign.fixtures import Fixtures, made_by
from lab.campaign.kill import Job

SMALL = "--model.text-dim 64 --model.width 16 --text hashed --batch-size 4 --max-steps 16"
TRAIN = (
    "--train.steps 24 --train.warmup 2 --train.log-every 4 --train.validate-every 12 --train.checkpoint-s 0.05 "
    "--train.ema 0.9"
)
JUDGE = "--task.batch-size 4 --task.model.width 16"
CODES = "--model.num-codes 32 --model.code-dim 8"


def command(words: str) -> Callable[[Path], int]:
    """A command line of exuvia; `OUT` is the folder of the run."""

    def run(place: Path) -> int:
        from exuvia.__main__ import main

        return main([word.replace("OUT", str(place)) for word in words.split()])

    return run


def jobs(fixtures: Fixtures) -> dict[str, Job]:
    """Return all commands by name; the fixtures provide their inputs."""
    store, tiny, mocap = fixtures.store, fixtures.pipeline, fixtures.mocap
    motions, prompts, old, published = (
        fixtures.root / name for name in ("motions", "prompts.txt", "tokenizer", "published")
    )
    tokenizer = (
        f"train tokenizer --corpus.data {store} --out OUT/run {CODES} --model.num-quantizers 3 --model.width 8 "
        f"--model.depth 1 --batch-size 4 --validation-clips 4 {TRAIN}"
    )
    report = f"evaluate {tiny} --original {tiny} --seeds 0 1 --limit 3"
    _prepare(fixtures, tokenizer, report)
    codes = f"--tokenizer {old} --corpus.data {store} --out OUT/run {SMALL} {TRAIN}"
    transformer = f"{codes} {CODES} --model.inner-width 16 --model.num-layers 1 --model.num-heads 2"
    edit = f"--pipeline {tiny} --forget violence --data {store} --out OUT/safe --overwrite"
    tune = "--tune.steps 8 --tune.batch-size 4 --tune.precision no"
    lines = {
        "prepare": (f"prepare {mocap} OUT/store", ("store",)),
        "train tokenizer": (tokenizer, ()),
        "train mask": (f"train mask {transformer}", ()),
        "train residual": (f"train residual {transformer} --model.num-quantizers 3", ()),
        "train length": (f"train length {codes.replace('--model.width 16', '')} --model.hidden 16", ()),
        "train classifier": (f"train classifier --corpus.data {store} --out OUT/run {TRAIN} {JUDGE}", ()),
        "unlearn lcr": (f"unlearn lcr {edit} --undo OUT/undo.safetensors --num-codes 8", ("safe",)),
        "unlearn esd": (f"unlearn esd {edit} {tune}", ("safe",)),
        "evaluate": (f"{report} --out OUT/report --cache OUT/cache", ("report",)),
        "benchmark": (
            f"benchmark violence --data {store} --pipeline {tiny} --methods none prompt_filter --seeds 0 "
            "--limit 2 --kinds implicit --workers 0 --out OUT/run",
            (),
        ),
        "report": (f"report {fixtures.root}/report --out OUT/page", ("page",)),
        "export humanml3d": (f"export humanml3d {store} OUT/hml", ("hml",)),
        "import momask": (f"import momask {published} --out OUT/momask --text hashed", ("momask",)),
        "export momask": (f"export momask {fixtures.root}/momask OUT/t2m", ("t2m",)),
        "convert": (f"convert {motions} OUT/glb --to glb --overwrite", ()),
        "convert bvh": (f"convert {motions} OUT/bvh --to bvh --overwrite", ()),
        "import motion": (f"import motion {' '.join(map(str, sorted(motions.iterdir())))} --out OUT/clips/", ()),
        "generate": (f"generate --file {prompts} --pipeline {tiny} --out OUT/made --formats npy html bvh", ()),
        "stream": (f"stream walk#40 sit#40 --pipeline {tiny} --out OUT/long.html", ("long.html",)),
        "gallery": (f"gallery --pipeline {tiny} --each 1 --out OUT/gallery.html", ("gallery.html",)),
        "checkpoint unpack": (f"checkpoint unpack {tiny} OUT/parts", ("parts",)),
        "checkpoint shrink": (f"checkpoint shrink {old} OUT/small", ("small",)),
    }
    keeps = ("export humanml3d", "prepare")
    costs = ("run/report/index.html", "run/report/report.md")
    slow = {"benchmark": 0.2, "report": 0.5, "evaluate": 0.4, "train classifier": 0.3, "train tokenizer": 0.5}
    made = {
        name: Job(name, command(line), whole, name in keeps, costs if name == "benchmark" else (), slow.get(name, 1.0))
        for name, (line, whole) in lines.items()
    }
    if shutil.which(os.environ.get("CXX", "c++")):
        made["kernel"] = Job("kernel", _kernel, share=0.3)
    return made


def _prepare(fixtures: Fixtures, tokenizer: str, report: str) -> None:
    """Create the inputs of the commands: motions, prompts, a tokenizer's run, published checkpoints, a report."""
    root, motions = fixtures.root, fixtures.root / "motions"
    motions.mkdir()
    for number in range(6):
        fixtures.motion(motions, ".npy", 12).rename(motions / f"{number}.npy")
    (root / "prompts.txt").write_text("a man kicks#40\na person walks#60\nshe sits#40\n")
    made_by("official_layout").published_folder(root / "published", 64)
    for line in (
        tokenizer.replace("OUT/run", f"{root}/tokenizer"),
        f"import momask {root}/published --out {root}/momask --text hashed",
        f"{report} --out {root}/report",
    ):
        command(line)(root)


def _kernel(place: Path) -> int:
    """Build the compiled scan at its first use, with a separate cache."""
    os.environ["EXUVIA_CACHE"] = str(place / "cache")
    from exuvia_ssm.cpu.build import library

    library()
    for lock in place.rglob("*.lock"):  # an empty file that stays for the next build
        lock.unlink()
    return 0


def small_shards() -> None:
    """Use shards of two clips, so that a kill can fall between them."""
    from exuvia.data import prepare

    prepare.SHARD_CLIPS = 2
