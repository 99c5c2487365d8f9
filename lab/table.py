"""What the laboratory offers: name -> function, line and examples, in groups."""

from exuvia.commands.table import Entry

COMMAND = {
    "scan": Entry(
        "lab.experiments.scan:bench_scan",
        "the selective scan beside every other one, and beside what the machine could do at best",
        ("python -m lab scan --record docs/results/numbers.jsonl", "python -m lab scan --long"),
        group="state-space layers",
    ),
    "serpent": Entry(
        "lab.experiments.scan:bench_serpent",
        "what SeRpEnt layers cost beside a Mamba layer of equal width",
        ("python -m lab serpent",),
        group="state-space layers",
    ),
    "lra": Entry(
        "lab.experiments.sequence:bench_lra",
        "classifiers of long sequences at equal size: does selective resampling help?",
        ("python -m lab lra --tasks listops image --preset short", "python -m lab lra --tasks induction --seeds 0"),
        group="state-space layers",
    ),
    "lm": Entry(
        "lab.experiments.sequence:bench_lm",
        "language models at equal size, on any text",
        ("python -m lab lm enwik8 --mixers mamba serpent-mamba", "python -m lab lm ptb.tar.xz --level words"),
        group="state-space layers",
    ),
    "selectivity": Entry(
        "lab.experiments.selectivity:bench_selectivity",
        "do Mamba's step sizes follow the information of what it reads?",
        ("python -m lab selectivity --quick", "python -m lab selectivity --sources markov --seeds 0 1 2"),
        group="state-space layers",
    ),
    "intervals": Entry(
        "lab.experiments.intervals:bench_intervals",
        "what trained SeRpEnt classifiers keep of their inputs",
        ("python -m lab intervals --tasks listops --mixers serpent-mamba",),
        group="state-space layers",
    ),
    "generators": Entry(
        "lab.experiments.generators:bench_generators",
        "how fast ListOps, Pathfinder and Path-X are made",
        ("python -m lab generators --trees 10000",),
        group="state-space layers",
    ),
    "features": Entry(
        "lab.experiments.features:bench_features",
        "time the encoding of motions as features",
        ("python -m lab features --clips 1000 --frames 196 --threads 2",),
        group="generators of motion",
    ),
    "statistics": Entry(
        "lab.experiments.code_statistics:bench_statistics",
        "time the code statistics that LCR needs, at the published model size",
        ("python -m lab statistics --precision bfloat16 --threads 2",),
        group="generators of motion",
    ),
    "tokenizer": Entry(
        "lab.experiments.tokenizer:bench_tokenizer",
        "joint error of held-out clips after encoding and decoding",
        ("python -m lab tokenizer stores/mocap --pipeline base",),
        group="generators of motion",
    ),
    "classifier": Entry(
        "lab.experiments.roc:roc",
        "how far the shipped violence classifier can be trusted",
        ("python -m lab classifier stores/mocap --out roc.csv",),
        group="generators of motion",
    ),
    "pipeline": Entry(
        "lab.experiments.pipeline:bench_pipeline",
        "clips a second, beside the published loop in plain words",
        ("python -m lab pipeline --clips 20",),
        group="generators of motion",
    ),
    "long": Entry(
        "lab.experiments.long:bench_long",
        "joins, drift, time and memory of one motion of many captions",
        ("python -m lab long --minutes 2",),
        group="generators of motion",
    ),
    "backbones": Entry(
        "lab.experiments.backbones:bench_backbones",
        "quality, training time, and time and memory by length of generators of base codes",
        ("python -m lab backbones --pipelines runs/backbones/mamba runs/backbones/transformer",),
        group="generators of motion",
    ),
    "frames": Entry(
        "lab.experiments.frames:bench_frames",
        "which frames of real motion a generator's SeRpEnt layers keep",
        ("python -m lab frames --pipeline runs/backbones/serpent/packed --data stores/mocap",),
        group="generators of motion",
    ),
    "formats": Entry(
        "lab.experiments.formats:bench_formats",
        "what BVH keeps of a motion, and what foot lock does to it",
        ("python -m lab formats --clips 10",),
        group="generators of motion",
    ),
    "lcr": Entry(
        "lab.experiments.lcr:bench_lcr",
        "time the codebook edit",
        ("python -m lab lcr --pipeline base --forget violence --num-codes 64 --record docs/results/numbers.jsonl",),
        group="unlearning",
    ),
    "demo": Entry(
        "lab.experiments.lcr:bench_demo",
        "time exuvia demo",
        ("python -m lab demo --record docs/results/numbers.jsonl",),
        group="unlearning",
    ),
    "sweep": Entry(
        "lab.experiments.sweep:sweep",
        "what LCR's settings do, on prompts of our own",
        ("python -m lab sweep --pipeline base",),
        group="unlearning",
    ),
    "evaluation": Entry(
        "lab.experiments.evaluation:bench_evaluation",
        "evaluating one generator beside the published loop with the same weights",
        ("python -m lab evaluation --data stores/mocap --repeats 2",),
        group="unlearning",
    ),
    "defects": Entry(
        "lab.experiments.defects:bench_defects",
        "what the oddities of the released unlearning methods do",
        ("python -m lab defects violence --data stores/mocap",),
        group="unlearning",
    ),
    "across": Entry(
        "lab.experiments.across:bench_across",
        "the same unlearning methods on generators of several kinds, in one table",
        ("python -m lab across --pipelines runs/backbones/bamm runs/backbones/mamba --methods lcr uce",),
        group="unlearning",
    ),
    "information": Entry(
        "lab.experiments.information:bench_information",
        "latent code replacement with and without information weights, at equal numbers of codes",
        ("python -m lab information --informant runs/backbones/causal-mamba/run --data stores/mocap",),
        group="unlearning",
    ),
    "studio": Entry(
        "lab.experiments.studio:bench_studio",
        "how fast the studio answers many users at once, and whether a job is lost",
        ("python -m lab studio --users 20 --seconds 60",),
        group="service",
    ),
    "goldens": Entry(
        "lab.experiments.goldens:check_goldens",
        "compare with the official implementations' golden vectors",
        ("python -m lab goldens ../shared/goldens", "python -m lab goldens ../shared/goldens --only 02_ 08_lcr"),
        group="records",
    ),
    "numbers": Entry(
        "lab.experiments.records:check_numbers",
        "every document is what its template and the measured rows make of it",
        ("python -m lab numbers", "python -m lab numbers --fix", "python -m lab numbers --prune"),
        group="records",
    ),
    "record-benchmark": Entry(
        "lab.experiments.records:record_benchmark",
        "add the numbers of a run of exuvia benchmark to the ledger",
        ("python -m lab record-benchmark runs/benchmark", "python -m lab record-benchmark runs/kinect --tag .kinect"),
        group="records",
    ),
    "record-evaluation": Entry(
        "lab.experiments.records:record_evaluation",
        "add the numbers of a report of exuvia evaluate to the ledger",
        ("python -m lab record-evaluation report",),
        group="records",
    ),
}
