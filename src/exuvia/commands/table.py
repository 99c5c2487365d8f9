"""What the command line offers, and which parts of the lower floors the commands use: names only, imported on demand.

Nothing here imports anything heavy, so that `exuvia --help` answers at once.
"""

from typing import Any, NamedTuple

from exuvia.registry import UNLEARN, resolve


class Entry(NamedTuple):
    """One command: its function, its line in the list, and examples that a test parses."""

    target: str
    """`module:function`; the function takes one configuration dataclass."""
    line: str
    examples: tuple[str, ...] = ()
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
        ("exuvia report runs/*-report/report.json --out table.md",),
    ),
    "bench features": Entry(
        "exuvia.commands.bench:bench_features",
        "time the encoding of motions as features",
        ("exuvia bench features --clips 1000 --frames 196 --threads 2",),
    ),
    "bench statistics": Entry(
        "exuvia.commands.bench:bench_statistics",
        "time the code statistics that LCR needs, at the published model size",
        ("exuvia bench statistics --precision bfloat16 --threads 2",),
    ),
    "bench tokenizer": Entry(
        "exuvia.commands.bench:bench_tokenizer",
        "joint error of held-out clips after encoding and decoding",
        ("exuvia bench tokenizer stores/mocap --pipeline base",),
    ),
    "bench classifier": Entry(
        "exuvia.commands.roc:roc",
        "how far the shipped violence classifier can be trusted",
        ("exuvia bench classifier stores/mocap --out roc.csv",),
    ),
    "bench sweep": Entry(
        "exuvia.commands.sweep:sweep",
        "what LCR's settings do, on prompts of our own",
        ("exuvia bench sweep --pipeline base",),
    ),
    "bench evaluation": Entry(
        "exuvia.commands.bench_evaluation:bench_evaluation",
        "evaluating one generator beside the published loop with the same weights",
        ("exuvia bench evaluation --data stores/mocap --repeats 2",),
    ),
    "bench defects": Entry(
        "exuvia.commands.bench_defects:bench_defects",
        "what the oddities of the released unlearning methods do",
        ("exuvia bench defects violence --data stores/mocap",),
    ),
    "bench lcr": Entry(
        "exuvia.commands.bench:bench_lcr",
        "time the codebook edit",
        ("exuvia bench lcr --pipeline base --forget violence --num-codes 64 --record docs/results/numbers.jsonl",),
    ),
    "bench scan": Entry(
        "exuvia.commands.bench_scan:bench_scan",
        "the selective scan beside every other one, and beside what the machine could do at best",
        ("exuvia bench scan --record docs/results/numbers.jsonl", "exuvia bench scan --long"),
    ),
    "bench serpent": Entry(
        "exuvia.commands.bench_scan:bench_serpent",
        "what SeRpEnt layers cost beside a Mamba layer of equal width",
        ("exuvia bench serpent",),
    ),
    "bench lra": Entry(
        "exuvia.commands.bench_sequence:bench_lra",
        "classifiers of long sequences at equal size: does selective resampling help?",
        ("exuvia bench lra --tasks listops image --preset short", "exuvia bench lra --tasks induction --seeds 0"),
    ),
    "bench pipeline": Entry(
        "exuvia.commands.bench_pipeline:bench_pipeline",
        "clips a second, beside the published loop in plain words",
        ("exuvia bench pipeline --clips 20",),
    ),
    "bench long": Entry(
        "exuvia.commands.bench_long:bench_long",
        "joins, drift, time and memory of one motion of many captions",
        ("exuvia bench long --minutes 2",),
    ),
    "bench backbones": Entry(
        "exuvia.commands.bench_backbones:bench_backbones",
        "quality, training time, and time and memory by length of generators of base codes",
        ("exuvia bench backbones --pipelines runs/backbones/mamba runs/backbones/transformer",),
    ),
    "bench across": Entry(
        "exuvia.commands.bench_across:bench_across",
        "the same unlearning methods on generators of several kinds, in one table",
        ("exuvia bench across --pipelines runs/backbones/bamm runs/backbones/mamba --methods lcr uce",),
    ),
    "bench information": Entry(
        "exuvia.commands.bench_information:bench_information",
        "latent code replacement with and without information weights, at equal numbers of codes",
        ("exuvia bench information --informant runs/backbones/causal-mamba/run --data stores/mocap",),
    ),
    "bench formats": Entry(
        "exuvia.commands.bench_formats:bench_formats",
        "what BVH keeps of a motion, and what foot lock does to it",
        ("exuvia bench formats --clips 10",),
    ),
    "bench studio": Entry(
        "exuvia.commands.bench_studio:bench_studio",
        "how fast the studio answers many users at once, and whether a job is lost",
        ("exuvia bench studio --users 20 --seconds 60",),
    ),
    "bench frames": Entry(
        "exuvia.commands.bench_frames:bench_frames",
        "which frames of real motion a generator's SeRpEnt layers keep",
        ("exuvia bench frames --pipeline runs/backbones/serpent/packed --data stores/mocap",),
    ),
    "bench intervals": Entry(
        "exuvia.commands.bench_intervals:bench_intervals",
        "what trained SeRpEnt classifiers keep of their inputs",
        ("exuvia bench intervals --tasks listops --mixers serpent-mamba",),
    ),
    "bench generators": Entry(
        "exuvia.commands.bench_generators:bench_generators",
        "how fast ListOps, Pathfinder and Path-X are made",
        ("exuvia bench generators --trees 10000",),
    ),
    "bench lm": Entry(
        "exuvia.commands.bench_sequence:bench_lm",
        "language models at equal size, on any text",
        ("exuvia bench lm enwik8 --mixers mamba serpent-mamba", "exuvia bench lm ptb.tar.xz --level words"),
    ),
    "bench selectivity": Entry(
        "exuvia.commands.bench_selectivity:bench_selectivity",
        "do Mamba's step sizes follow the information of what it reads?",
        ("exuvia bench selectivity --quick", "exuvia bench selectivity --sources markov --seeds 0 1 2"),
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
    "check goldens": Entry(
        "exuvia.commands.check:check_goldens",
        "compare with the official implementations' golden vectors",
        ("exuvia check goldens ../shared/goldens", "exuvia check goldens ../shared/goldens --only 02_ 08_lcr"),
    ),
    "check numbers": Entry(
        "exuvia.commands.check:check_numbers",
        "every number quoted in a document equals its measured row",
        ("exuvia check numbers", "exuvia check numbers --root . --fix"),
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

PART = {
    "pipeline": "exuvia.pipeline:MotionPipeline",
    "unlearn": "exuvia.unlearn.base:unlearn",
    "save_undo": "exuvia.unlearn.undo:save_undo",
    "undo": "exuvia.unlearn.undo:undo",
    "evaluate": "exuvia.evaluate.suite:evaluate",
    "write_report": "exuvia.report.page:write_report",
    "EvaluatorRecipe": "exuvia.recipes.evaluator:EvaluatorRecipe",
    "train_evaluator": "exuvia.recipes.evaluator:train_evaluator",
    "encode_clips": "exuvia.unlearn.encoding:encode_clips",
    "violent_frames": "exuvia.synthetic.catalogue:VIOLENT_FRAME_LABELS",
    "run_benchmark": "exuvia.evaluate.benchmark:run_benchmark",
    "Plan": "exuvia.evaluate.benchmark:Plan",
    "MethodSpec": "exuvia.evaluate.benchmark:MethodSpec",
    "interval": "exuvia.evaluate.metrics:interval",
    "humanml3d": "exuvia.features.humanml3d:HUMANML3D",
    "skeleton": "exuvia.motion.skeleton:SMPL22",
    "load_clip": "exuvia.motion.load:load_clip",
    "source": "exuvia.motion.source:Source",
    "code_commit": "exuvia.checkpoint:code_commit",
    "read_config": "exuvia.checkpoint:read_config",
    "load_tensors": "exuvia.checkpoint:load_tensors",
    "load_into": "exuvia.checkpoint:load_into",
    "write_config": "exuvia.checkpoint:write_config",
    "assemble": "exuvia.assemble:assemble",
    "load_momask": "exuvia.official:load_momask",
    "normaliser": "exuvia.features.normaliser:Normaliser",
    "load_tokenizer": "exuvia.recipes.tokenizer:load_tokenizer",
    "stream": "exuvia.long:stream",
    "scene": "exuvia.long:Scene",
    "join_jump_ratio": "exuvia.long:join_jump_ratio",
    "long_config": "exuvia.long:LongConfig",
    "load_evaluator_folder": "exuvia.evaluate.official:load_evaluator_folder",
    "save_evaluator": "exuvia.evaluate.official:save_evaluator",
    "clip": "exuvia.motion.clip:Clip",
    "lock_feet": "exuvia.motion.foot_lock:lock_feet",
    "layout_of": "exuvia.official:layout_of",
    "published_guidance": "exuvia.official:GUIDANCE",
    "load_bamm_folders": "exuvia.official_bamm:load_bamm_folders",
    "own_length": "exuvia.sequence.length:OwnLength",
    "generation_config": "exuvia.pipeline:GenerationConfig",
    "save_momask": "exuvia.official_export:save_momask",
    "build_generator": "exuvia.sequence.generators:build_generator",
    "describe_generator": "exuvia.sequence.generators:describe_generator",
    "residual_transformer": "exuvia.sequence.residual_transformer:ResidualTransformer",
    "residual_config": "exuvia.sequence.residual_transformer:ResidualTransformerConfig",
    "length_estimator": "exuvia.sequence.length:LengthEstimator",
    "length_config": "exuvia.sequence.length:LengthEstimatorConfig",
    "check_folder": "exuvia.goldens.run:check_folder",
    "concepts": "exuvia.data.concepts:CONCEPT",
    "ship_statistics": "exuvia.unlearn.base:ship_statistics",
    "store": "exuvia.data.store:Store",
    "bench_statistics": "exuvia.unlearn.encoding:bench_statistics",
    "set_threads": "torch:set_num_threads",
    "reconstruction_error_mm": "exuvia.recipes.tokenizer:reconstruction_error_mm",
    "halved": "exuvia.checkpoint:halved",
    "save_tensors": "exuvia.checkpoint:save_tensors",
    "finish_now": "exuvia.train:finish_now",
    "prompt_sets": "exuvia.evaluate.forget:prompt_sets",
    "Generations": "exuvia.evaluate.forget:Generations",
    "Judge": "exuvia.evaluate.judge:Judge",
    "plain_evaluation": "exuvia.evaluate.plain_loop:plain_evaluation",
    "load_prompts": "exuvia.evaluate.prompts.load:load_prompts",
    "plain_clips": "exuvia.evaluate.plain_loop:plain_clips",
    "plain_batch": "exuvia.evaluate.plain_loop:BATCH",
    "Evidence": "exuvia.unlearn.base:Evidence",
    "find_concept": "exuvia.data.concepts:find_concept",
    "defects_of_criteria": "exuvia.evaluate.defects:criteria",
    "defects_of_padding": "exuvia.evaluate.defects:padding",
    "defects_of_closed_forms": "exuvia.evaluate.defects:closed_form",
    "built_in_sets": "exuvia.evaluate.forget:built_in_sets",
    "shipped_evaluator": "exuvia.evaluate.shipped:shipped_evaluator",
    "roc_auc": "exuvia.evaluate.roc:roc_auc",
    "shipped_detector": "exuvia.evaluate.shipped:shipped_detector",
    "measure": "exuvia.motion.kinematics:measure",
    "write_page": "exuvia.view.page:write_page",
    "write_comparison": "exuvia.view.page:write_comparison",
    "panel": "exuvia.view.page:Panel",
    "comparison_row": "exuvia.view.page:ComparisonRow",
    "serve_studio": "exuvia.studio.serve:serve",
    "studio_settings": "exuvia.studio.settings:Settings",
    "load_informant": "exuvia.unlearn.information:load_informant",
    "information_measures": "exuvia.unlearn.information:MEASURES",
    "find_pipeline": "exuvia.checkpoint:find_pipeline",
}
"""Heavy parts that commands use when they run."""


def part(name: str) -> Any:
    """A part of a lower floor, imported now. Raises ConfigError for a name that is not in PART."""
    return resolve(PART, name, "part")
