"""What the command line offers, and which parts of the lower floors the commands use: names only, imported on demand.

Nothing here imports anything heavy, so that `exuvia --help` answers at once.
"""

from typing import NamedTuple

from exuvia.registry import UNLEARN


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


_PREPARE_TRAIN = {
    "prepare": Entry(
        "exuvia.commands.prepare:prepare",
        "make one memory-mapped store of a folder of motions and captions",
    ),
    "train tokenizer": Entry(
        "exuvia.recipes.tokenizer:train_tokenizer",
        "train the motion tokenizer (RVQ-VAE)",
        ("exuvia train tokenizer --corpus.data stores/mocap --out runs/tokenizer --train.steps 20000",),
    ),
    "train mask": Entry(
        "exuvia.recipes.generator:train_mask",
        "train the masked transformer over base codes",
        ("exuvia train mask --tokenizer runs/tokenizer --corpus.data stores/mocap --out runs/mask",),
    ),
    "train bamm": Entry(
        "exuvia.recipes.generator:train_bamm",
        "train BAMM, which writes base codes from left to right and finds its own lengths",
        ("exuvia train bamm --tokenizer runs/tokenizer --corpus.data stores/mocap --out runs/bamm",),
    ),
    "train causal": Entry(
        "exuvia.recipes.generator:train_causal",
        "train the autoregressive state-space generator, which writes base codes from a carried state",
        ("exuvia train causal --model.backbone serpent --tokenizer runs/tokenizer --corpus.data stores/mocap",),
    ),
    "train residual": Entry(
        "exuvia.recipes.generator:train_residual",
        "train the transformer over residual codes",
        ("exuvia train residual --tokenizer runs/tokenizer --corpus.data stores/mocap --out runs/residual",),
    ),
    "train length": Entry(
        "exuvia.recipes.generator:train_length",
        "train the estimator of a motion's length",
        ("exuvia train length --tokenizer runs/tokenizer --corpus.data stores/mocap --out runs/length",),
    ),
    "train evaluator": Entry(
        "exuvia.recipes.evaluator:train_evaluator", "train the text-motion embedding that metrics use"
    ),
    "train retrieval": Entry("exuvia.recipes.retrieval:train_retrieval", "train the motion-text retrieval model"),
    "train classifier": Entry("exuvia.recipes.classifier:train_classifier", "train the independent concept classifier"),
}
_USE = {
    "ship": Entry("exuvia.commands.ship:ship", "a finished run as a small folder to hand out"),
    "finish": Entry(
        "exuvia.commands.finish:finish",
        "a finished run from the last checkpoint of one that was stopped",
        ("exuvia finish runs/mask",),
    ),
    "stream": Entry(
        "exuvia.commands.stream:stream",
        "several captions in a row as one motion of any length",
        ('exuvia stream "a person walks forward#120" "a person sits down#80" --out walk.html',),
    ),
    "generate": Entry(
        "exuvia.commands.generate:generate",
        "text -> motion files",
        (
            'exuvia generate "a man kicks something with his left leg" --out kick.mp4',
            "exuvia generate --file prompts.txt --out motions/ --formats npy html --seed 3 --repeats 2",
        ),
    ),
    **{
        f"unlearn {method}": Entry(
            "exuvia.commands.unlearn:unlearn",
            f"make a trained generator forget a concept by {method}",
            (f"exuvia unlearn {method} --pipeline base --forget violence --out runs/safe",),
            config="exuvia.commands.unlearn:settings_type",
        )
        for method in UNLEARN
    },
    "undo": Entry(
        "exuvia.commands.unlearn:undo",
        "take an edit back",
        ("exuvia undo runs/safe runs/safe-undo.safetensors --out runs/restored",),
    ),
    "studio": Entry(
        "exuvia.commands.studio:studio",
        "the web application: see motion, compare generators, make them forget, export",
        ("exuvia studio --open", "exuvia studio --pipelines safe runs/safe --data mocap stores/mocap --port 8020"),
    ),
    "gallery": Entry(
        "exuvia.commands.gallery:gallery",
        "motions of many prompts as one page of players",
        ("exuvia gallery --out gallery.html", "exuvia gallery --beside runs/safe --each 5 --out before-after.html"),
    ),
    "evaluate": Entry(
        "exuvia.commands.evaluate:evaluate",
        "measure forgetting and retention against the original",
        ("exuvia evaluate runs/safe --original base --benchmark violence --data stores/mocap --out runs/safe-report",),
    ),
    "benchmark": Entry(
        "exuvia.commands.benchmark:benchmark",
        "compare unlearning methods on one concept",
        ("exuvia benchmark violence --data stores/mocap --out runs/benchmark-violence",),
    ),
    "report": Entry(
        "exuvia.commands.report:report",
        "one table of several evaluations, side by side",
        ("exuvia report runs/benchmark runs/safe-report --out table.md",),
    ),
    "convert": Entry(
        "exuvia.commands.convert:convert",
        "a motion file, or a folder of them, in another format",
        ("exuvia convert walk.bvh walk.glb", "exuvia convert mocap motions --to npy --fps 20"),
    ),
    "export momask": Entry(
        "exuvia.commands.export_momask:export_momask",
        "a pipeline as checkpoints that MoMask's own scripts load",
        ("exuvia export momask runs/safe checkpoints/t2m",),
    ),
    "export humanml3d": Entry("exuvia.commands.export:export", "a prepared store in the layout of another project"),
    "import evaluator": Entry(
        "exuvia.commands.import_evaluator:import_evaluator",
        "a published text-motion evaluator, for --evaluator",
        ("exuvia import evaluator checkpoints/t2m --glove glove --out runs/guo",),
    ),
    "import bamm": Entry(
        "exuvia.commands.import_bamm:import_bamm",
        "published BAMM checkpoints as one pipeline",
        ("exuvia import bamm log/t2m/NAME --tokenizer log/vq/NAME --residual RES --out runs/bamm",),
    ),
    "import momask": Entry(
        "exuvia.commands.import_momask:import_momask",
        "published MoMask checkpoints -> one pipeline folder",
        ("exuvia import momask checkpoints/t2m --out runs/momask",),
    ),
    "import motion": Entry(
        "exuvia.commands.import_motion:import_motion",
        "motion-capture files -> clips of 22 joints at 20 frames a second",
        (
            "exuvia import motion take1.bvh take2.bvh --out clips/",
            "exuvia import motion 02_01.amc --source-fps 120 --out walk.npy",
        ),
    ),
    "pack": Entry(
        "exuvia.commands.pack:pack",
        "run folders of the parts -> one pipeline folder",
        (
            "exuvia pack --tokenizer runs/tokenizer --mask runs/mask --residual runs/residual --length runs/length "
            "--out runs/pipeline --half",
        ),
    ),
    "unpack": Entry(
        "exuvia.commands.unpack:unpack",
        "a pipeline folder -> run folders of its parts, for another generator of the same codes",
        ("exuvia unpack base runs/base",),
    ),
    "list": Entry(
        "exuvia.commands.names:list_names",
        "methods, encoders, formats and concepts by name",
        ("exuvia list", "exuvia list --kind methods"),
    ),
    "demo": Entry("exuvia.commands.demo:demo", "prompts before and after forgetting violence, as a web page"),
}
COMMAND = _PREPARE_TRAIN | _USE
"""The command line. A name of two words is a command of a group."""
