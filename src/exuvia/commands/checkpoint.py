"""`exuvia checkpoint unpack`, `shrink` and `finish`: operations on pipelines and run folders."""

from pathlib import Path
from typing import Annotated, Any

import tyro

from exuvia.commands.switches import OverwriteSwitch
from exuvia.config import settings, to_dict
from exuvia.errors import CheckpointError, ConfigError
from exuvia.files import check_folder, sha256_file, whole_folder, write_json
from exuvia.readers import read_json

PARTS = "folder of parts"
"""Kind of the folder that `unpack` makes, for `files.check_folder`."""
FACTS = ("config.json", "provenance.json", "metrics.json")
"""Files of a finished run that `shrink` copies in addition to the weights."""


@settings
class UnpackConfig(OverwriteSwitch):
    """Pipeline and output folder."""

    pipeline: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PIPELINE")]
    """Shipped name ("base") or folder."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Output folder for the run folders `tokenizer`, `mask` (or `bamm`, `causal`), `residual` and `length`."""


def unpack(config: UnpackConfig) -> None:
    """Split a pipeline into its parts. Another generator can then learn its codes and be packed with the rest."""
    from exuvia.pipeline.pipeline import MotionPipeline

    rules: dict[str, Any] = {"overwrite": config.overwrite, "sources": [config.pipeline]}
    check_folder(config.out, PARTS, **rules)
    pipe = MotionPipeline.from_pretrained(config.pipeline)
    if pipe.guards or pipe.codebook_noise:
        raise ConfigError(f"{config.pipeline} has guards or noise, which its parts cannot hold; undo that edit first")
    with whole_folder(config.out, PARTS, **rules) as out:
        made = _write(pipe, out)
    print(f"{config.out}: {', '.join(made)}")


def _write(pipe: Any, out: Path) -> list[str]:
    """Write one run folder per part; returns their names."""
    from exuvia.checkpoint import save_tensors, write_config
    from exuvia.sequence.generators import describe_generator

    text = {"text": pipe.text.name, "text_fingerprint": pipe.text.fingerprint, "pooled": pipe.config["text"]["pooled"]}
    scale = {"mean": pipe.normaliser.mean.tolist(), "std": pipe.normaliser.std.tolist()}
    base = describe_generator(pipe.base)
    names = {"tokenizer": "tokenizer", "base": base.pop("kind"), "residual": "residual", "length": "length"}
    history, facts = pipe.provenance.get("parts", {}), {}
    if pipe.provenance.get("edits"):
        facts["edits"] = pipe.provenance["edits"]
    written = []
    for place, kind in names.items():
        module = getattr(pipe, place)
        if not module.state_dict():  # BAMM and causal generators decide the length themselves
            continue
        save_tensors(out / kind / "weights.safetensors", module.state_dict())
        model = base if place == "base" else to_dict(module.config)
        write_config(out / kind, kind, {"model": model, **(scale if place == "tokenizer" else text)})
        write_json(out / kind / "provenance.json", {**history.get(place, {}), **facts})
        if place == "tokenizer":
            facts["parent"] = sha256_file(out / kind / "weights.safetensors")
        written.append(kind)
    return written


@settings
class ShrinkConfig(OverwriteSwitch):
    """Run and output folder."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of a finished run, such as that of the evaluator or the classifier."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder to write; an older run of this kind is replaced."""


def shrink(config: ShrinkConfig) -> None:
    """Copy a finished run without its training logs, with weights as float16 (widened again on load)."""
    from exuvia.checkpoint import halved, load_tensors, save_tensors

    if not all((config.run / name).is_file() for name in FACTS):
        hint = f"train it to its end, or: exuvia checkpoint finish {config.run}"
        raise CheckpointError(f"{config.run} is not a finished run; {hint}")
    kind = str(read_json(config.run / "config.json").get("kind"))
    tensors = load_tensors(config.run / "weights.safetensors")
    with whole_folder(config.out, kind, overwrite=config.overwrite, sources=[config.run]) as out:
        for name in FACTS:
            write_json(out / name, read_json(config.run / name))
        save_tensors(out / "weights.safetensors", halved(tensors))
    size_mb = sum(path.stat().st_size for path in config.out.iterdir()) / 1e6
    print(f"{config.out}: {size_mb:.1f} MB")


@settings
class FinishConfig:
    """Run to finish."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder with a checkpoint; its training must not be running."""


def finish(config: FinishConfig) -> None:
    """Turn the last checkpoint into the result: weights, configuration, provenance (with the step) and metrics."""
    from exuvia.run_folder import finish_now

    metrics = finish_now(config.run)
    print(f"{config.run}: finished; {', '.join(f'{k} {v:.4g}' for k, v in metrics.items())}")
