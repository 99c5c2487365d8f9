"""What the command line offers: names, lines and examples, with functions that are imported when they are called.

Nothing here imports anything heavy, so that `exuvia --help` answers at once.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from exuvia.registry import UNLEARN


class Family(NamedTuple):
    """Commands that differ in their second word and that the list shows as one."""

    name: str
    line: str
    example: str


class Entry(NamedTuple):
    """One command: its function, its line in the list, and examples that a test parses."""

    target: str
    """`module:function`; the function takes one configuration dataclass."""
    line: str
    examples: tuple[str, ...] = ()
    group: str = ""
    """Heading under which the list shows it."""
    config: str = ""
    """`module:function` that makes the configuration class from the command's name; "": the annotated one."""
    family: Family | None = None
    gone: Mapping[str, str] = {}
    """Options of earlier versions, each with a sentence that says what to do instead."""


_BENCHMARK = "record a run in the ledger with: python -m lab record-benchmark FOLDER"
_DOCUMENT = "documents are rendered from templates; run: python -m lab numbers --help"

_DATA = {
    "prepare": Entry(
        "exuvia.commands.prepare:prepare",
        "one store of a folder of motions and captions, for training and evaluation",
        (
            "exuvia prepare HumanML3D/ stores/humanml3d",
            "exuvia prepare my-bvh-files/ stores/mine --limit 100",
            "exuvia prepare synthetic stores/toy --count 200",
        ),
    ),
    "convert": Entry(
        "exuvia.commands.convert:convert",
        "a motion file, or a folder of them, in another format",
        (
            "exuvia convert walk.bvh walk.glb",
            "exuvia convert mocap motions --to npy --fps 20 --workers 2",
            "exuvia convert kick.npy kick.mp4 --foot-lock",
        ),
    ),
    "import motion": Entry(
        "exuvia.commands.import_motion:import_motion",
        "motion-capture files as clips of 22 joints at 20 frames a second",
        (
            "exuvia import motion take1.bvh take2.bvh --out clips/",
            "exuvia import motion 02_01.amc --source-fps 120 --out walk.npy",
        ),
    ),
    "import momask": Entry(
        "exuvia.commands.import_published:import_momask",
        "published MoMask checkpoints as one pipeline",
        ("exuvia import momask checkpoints/t2m --out runs/momask",),
    ),
    "import bamm": Entry(
        "exuvia.commands.import_published:import_bamm",
        "published BAMM checkpoints as one pipeline",
        ("exuvia import bamm log/t2m/NAME --tokenizer log/vq/NAME --residual log/t2m/RES --out runs/bamm",),
    ),
    "import evaluator": Entry(
        "exuvia.commands.import_published:import_evaluator",
        "a published text-motion evaluator, for benchmark --evaluator",
        ("exuvia import evaluator checkpoints/t2m --glove glove --out runs/guo",),
    ),
    "export humanml3d": Entry(
        "exuvia.commands.export:export_humanml3d",
        "a prepared store as the folder that MoMask, MDM and others read",
        ("exuvia export humanml3d stores/mine dataset/HumanML3D",),
    ),
    "export momask": Entry(
        "exuvia.commands.export:export_momask",
        "a pipeline as checkpoints that MoMask's own scripts load",
        ("exuvia export momask runs/safe checkpoints/t2m",),
    ),
}
_MAKE = {
    "generate": Entry(
        "exuvia.commands.generate:generate",
        "motion files from prompts",
        (
            'exuvia generate "a man kicks something with his left leg" --out kick.mp4',
            "exuvia generate --file prompts.txt --out motions/ --formats npy html --seed 3 --repeats 2",
        ),
    ),
    "stream": Entry(
        "exuvia.commands.stream:stream",
        "several prompts in a row as one motion of any length",
        ('exuvia stream "a person walks forward#120" "a person sits down#80" --out walk.html',),
    ),
    "gallery": Entry(
        "exuvia.commands.gallery:gallery",
        "motions of many prompts as one page of players",
        ("exuvia gallery --out gallery.html", "exuvia gallery --beside runs/safe --each 5 --out before-after.html"),
    ),
}
_CODES = "--tokenizer runs/tokenizer --corpus.data stores/mocap"
_PART = {
    "tokenizer": (
        "the motion tokenizer (RVQ-VAE)",
        "--corpus.data stores/mocap --out runs/tokenizer --train.steps 20000",
    ),
    "mask": ("the masked transformer, which writes base codes", f"{_CODES} --out runs/mask"),
    "bamm": ("BAMM, which writes base codes from left to right and finds its own lengths", f"{_CODES} --out runs/bamm"),
    "causal": (
        "the state-space generator, which writes base codes from a carried state",
        f"{_CODES} --out runs/causal",
    ),
    "residual": ("the transformer that adds the residual codes", f"{_CODES} --out runs/residual"),
    "length": ("the estimator of a motion's length", f"{_CODES} --out runs/length"),
    "evaluator": (
        "the embedding of captions and motions that metrics use",
        "--data stores/mocap --out runs/evaluator --train.steps 4000",
    ),
    "retrieval": (
        "the model by which motion and caption find each other",
        "--data stores/mocap --out runs/retrieval --train.steps 4000",
    ),
    "classifier": (
        "the classifier that sees violence in motion, whatever made it",
        "--data stores/mocap --out runs/classifier --train.steps 2000",
    ),
}
_TRAINING = Family(
    "train PART",
    "one part of a generator, or a judge of motions",
    f"exuvia train tokenizer {_PART['tokenizer'][1]}",
)
_TRAIN = {
    f"train {part}": Entry(
        f"exuvia.commands.train:train_{part}",
        line,
        (f"exuvia train {part} {example}",),
        family=_TRAINING,
    )
    for part, (line, example) in _PART.items()
}


def _first_line(target: str) -> str:
    """The first sentence of the module of `module:name`, read without importing it."""
    spec = find_spec(target.partition(":")[0])
    if spec is None or spec.origin is None:
        return ""
    with Path(spec.origin).open(encoding="utf-8") as file:
        return file.readline().strip().strip('"').partition("   ")[0].partition(". ")[0].rstrip(".")


_UNLEARNING = Family(
    "unlearn METHOD",
    "make a trained generator forget a concept",
    "exuvia unlearn lcr --pipeline base --forget violence --out runs/safe",
)
_FORGET = {
    **{
        f"unlearn {method}": Entry(
            "exuvia.commands.unlearn:unlearn",
            _first_line(target),
            (f"exuvia unlearn {method} --pipeline base --forget violence --out runs/safe",),
            config="exuvia.commands.unlearn:settings_type",
            family=_UNLEARNING,
        )
        for method, target in UNLEARN.items()
    },
    "undo": Entry(
        "exuvia.commands.unlearn:undo",
        "take an edit back, bit for bit",
        ("exuvia undo runs/safe runs/safe-undo.safetensors --out runs/restored",),
    ),
    "audit": Entry(
        "exuvia.commands.audit:audit",
        "ask a generator for violence, and see which motions show it",
        (
            "exuvia audit runs/safe --prompts prompts.txt --out runs/safe-audit",
            "exuvia audit base --kinds explicit lookalike --seeds 0 1 2",
        ),
    ),
}
_MEASURE = {
    "evaluate": Entry(
        "exuvia.commands.evaluate:evaluate",
        "measure what an edit forgot and what it kept, beside the original",
        ("exuvia evaluate runs/safe --original base --benchmark violence --data stores/mocap --out runs/safe-report",),
        gone={"--record": "record a report in the ledger with: python -m lab record-evaluation FOLDER"},
    ),
    "benchmark": Entry(
        "exuvia.commands.benchmark:benchmark",
        "compare unlearning methods on one concept",
        (
            "exuvia benchmark violence --data stores/mocap --out runs/benchmark-violence",
            "exuvia benchmark violence --data stores/mocap --sensors optical --retrained runs/retrain-violence/packed",
        ),
        gone={"--record": _BENCHMARK, "--tag": _BENCHMARK, "--document": _DOCUMENT},
    ),
    "report": Entry(
        "exuvia.commands.report:report",
        "evaluations and benchmarks side by side, as tables or as a page",
        (
            "exuvia report runs/benchmark runs/safe-report --only forget. retain.fid",
            "exuvia report runs/benchmark --out runs/page",
        ),
    ),
}
_SERVE = {
    "studio": Entry(
        "exuvia.commands.studio:studio",
        "the web application: see motion, compare generators, make them forget, export",
        ("exuvia studio --open", "exuvia studio --pipelines safe runs/safe --data mocap stores/mocap --port 8020"),
    ),
}
_RUN = "--tokenizer runs/base/tokenizer --residual runs/base/residual --length runs/base/length"
_MORE = {
    "demo": Entry(
        "exuvia.commands.demo:demo",
        "prompts before and after forgetting violence, as a web page",
        ("exuvia demo --out demo",),
        gone={"--record": "record its time in the ledger with: python -m lab demo"},
    ),
    "list": Entry(
        "exuvia.commands.names:list_names",
        "methods, concepts, encoders and formats by name",
        ("exuvia list", "exuvia list --kind methods"),
    ),
    "checkpoint pack": Entry(
        "exuvia.commands.pack:pack",
        "trained parts as one pipeline",
        (
            "exuvia checkpoint pack --tokenizer runs/tokenizer --mask runs/mask --residual runs/residual "
            "--length runs/length --out runs/pipeline --half",
            f"exuvia checkpoint pack {_RUN} --mask runs/causal --out runs/streaming",
        ),
    ),
    "checkpoint unpack": Entry(
        "exuvia.commands.unpack:unpack",
        "a pipeline as its parts, for another generator of the same codes",
        ("exuvia checkpoint unpack base runs/base",),
    ),
    "checkpoint shrink": Entry(
        "exuvia.commands.shrink:shrink",
        "a finished run as a small folder to hand out",
        ("exuvia checkpoint shrink runs/evaluator shipped/evaluator",),
    ),
    "checkpoint finish": Entry(
        "exuvia.commands.finish:finish",
        "the last checkpoint of a stopped training as its result",
        ("exuvia checkpoint finish runs/mask",),
    ),
}
_GROUP = {
    "data": _DATA,
    "make": _MAKE,
    "train": _TRAIN,
    "forget": _FORGET,
    "measure": _MEASURE,
    "serve": _SERVE,
    "more": _MORE,
}
COMMAND = {name: entry._replace(group=group) for group, commands in _GROUP.items() for name, entry in commands.items()}
"""The command line. A name of two words is a command of a group."""

RENAMED = {
    "bench": "python -m lab",
    "check": "python -m lab",
    "pack": "exuvia checkpoint pack",
    "unpack": "exuvia checkpoint unpack",
    "ship": "exuvia checkpoint shrink",
    "finish": "exuvia checkpoint finish",
}
"""First word of a command of 0.1 -> what is typed for `exuvia` and this word now."""
