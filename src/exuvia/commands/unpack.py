"""`exuvia checkpoint unpack`: a pipeline folder -> the run folders that `exuvia checkpoint pack` made it of."""

from pathlib import Path
from typing import Annotated, Any

import tyro

from exuvia.config import settings, to_dict
from exuvia.errors import ConfigError
from exuvia.files import sha256_file, whole_folder, write_json


@settings
class UnpackConfig:
    """Which pipeline, and where to."""

    pipeline: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PIPELINE")]
    """Shipped name ("base") or folder."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """Folder of the run folders `tokenizer`, `mask` (or `bamm`, `causal`), `residual` and `length`; an older one is
    replaced whole."""


def unpack(config: UnpackConfig) -> None:
    """Take a pipeline apart, so that another generator can learn its codes and be packed with the rest.

    Raises:
        CheckpointError: no pipeline there.
        ConfigError: it was edited by replacing or perturbing codes, which no part's weights hold; undo that edit first.
        OutputError: the folder cannot be written.
    """
    from exuvia.pipeline.pipeline import MotionPipeline

    pipe = MotionPipeline.from_pretrained(config.pipeline)
    if pipe.detours or pipe.noise:
        raise ConfigError(f"{config.pipeline} replaces or perturbs codes beside its weights; undo that edit first")
    with whole_folder(config.out) as out:
        made = _write(pipe, out)
    print(f"{config.out}: {', '.join(made)}")


def _write(pipe: Any, out: Path) -> list[str]:
    """One run folder a part; their names."""
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
        if not module.state_dict():  # BAMM and causal generators find their own lengths
            continue
        save_tensors(out / kind / "weights.safetensors", module.state_dict())
        model = base if place == "base" else to_dict(module.config)
        write_config(out / kind, kind, {"model": model, **(scale if place == "tokenizer" else text)})
        write_json(out / kind / "provenance.json", {**history.get(place, {}), **facts})
        if place == "tokenizer":
            facts["parent"] = sha256_file(out / kind / "weights.safetensors")
        written.append(kind)
    return written
