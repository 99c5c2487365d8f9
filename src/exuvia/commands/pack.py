"""`exuvia checkpoint pack`: joins the run folders of trained parts to a pipeline folder."""

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from exuvia.commands.switches import OverwriteSwitch
from exuvia.config import settings
from exuvia.errors import ConfigError
from exuvia.files import check_folder, sha256_file
from exuvia.pipeline.settings import GenerationConfig
from exuvia.readers import as_type, read_json, read_utf8
from exuvia.registry import TEXT_ENCODER, resolve

if TYPE_CHECKING:
    from exuvia.pipeline.pipeline import MotionPipeline
    from exuvia.text.base import TextEncoder

WEIGHTS = "weights.safetensors"


@settings
class PackConfig(OverwriteSwitch):
    """Trained parts of the pipeline, and its settings."""

    out: Path
    """Folder of the pipeline; an older one there is replaced."""
    tokenizer: Path = Path("runs/tokenizer")
    """Run folder of the tokenizer."""
    mask: Path = Path("runs/mask")
    """Run folder of the generator of base codes, from `exuvia train mask`, `bamm` or `causal`."""
    residual: Path = Path("runs/residual")
    """Run folder of the residual transformer."""
    length: Path = Path("runs/length")
    """Run folder of the length estimator."""
    half: bool = False
    """Whether to store weights as float16, which halves their size."""
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    """Default sampling settings of the pipeline."""
    statistics: Path | None = None
    """Folder made by `exuvia prepare`, of whose training clips to ship code counts; unlearning then needs no data."""
    concepts: tuple[str, ...] = ("violence", "kick", "punch_jab_box_hit_beat")
    """Concepts to count."""
    card: Path | None = None
    """Markdown file that becomes the model card (README.md)."""


def pack(config: PackConfig) -> None:
    """Join trained parts to a pipeline for `exuvia generate --pipeline FOLDER`."""
    from exuvia.data.store import Store
    from exuvia.unlearning.base import ship_statistics

    sources = [path for path in (*_folders(config).values(), config.statistics, config.card) if path]
    check_folder(config.out, "pipeline", overwrite=config.overwrite, sources=sources)
    pipe = _from_runs(config)
    if config.statistics:
        pipe.statistics = ship_statistics(pipe, Store.open(config.statistics), config.concepts)
    if config.card:
        pipe.card = read_utf8(config.card, "model card", ConfigError)
    save(pipe, config.out, half=config.half, overwrite=config.overwrite)


def save(pipe: "MotionPipeline", out: Path, *, half: bool, overwrite: bool) -> None:
    """Write a pipeline and print its size. Raises OutputError."""
    pipe.save_pretrained(out, half=half, overwrite=overwrite)
    size_mb = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    print(f"{out}: {size_mb:.1f} MB, caption encoder {pipe.text.name}")


def _from_runs(config: PackConfig) -> "MotionPipeline":
    from exuvia.checkpoint import Run, load_run, read_config
    from exuvia.pipeline.assemble import assemble
    from exuvia.recipes.tokenizer import load_tokenizer
    from exuvia.sequence.generators import GENERATOR
    from exuvia.sequence.length import LengthEstimator
    from exuvia.sequence.residual_transformer import ResidualTransformer
    from exuvia.sequence.settings import LengthEstimatorConfig, ResidualTransformerConfig

    class _Part(Run):
        pooled: bool
        text: str
        text_fingerprint: str

    tokenizer, normaliser = load_tokenizer(config.tokenizer)
    _check_parents(config)
    kind = read_config(config.mask, *GENERATOR)["kind"]
    generator, base = load_run(config.mask, kind, *GENERATOR[kind], _Part)
    transformer, residual = load_run(config.residual, "residual", ResidualTransformer, ResidualTransformerConfig, _Part)
    estimator, length = load_run(config.length, "length", LengthEstimator, LengthEstimatorConfig, _Part)
    parts = (generator, transformer, estimator, _text({"base": base, "residual": residual, "length": length}))
    facts = {"parts": {kind: _history(folder) for kind, folder in _folders(config).items()}}
    rules: dict[str, Any] = {"pooled": base["pooled"], "generation": config.generation, "facts": facts}
    return assemble(tokenizer, normaliser, *parts, **rules)


def _text(abouts: dict[str, dict[str, Any]]) -> "TextEncoder":
    """The caption encoder of all parts. Raises ConfigError if they were trained with different ones."""
    names = {(about["text"], about["text_fingerprint"]) for about in abouts.values()}
    if len({about["pooled"] for kind, about in abouts.items() if kind != "length"}) > 1 or len(names) > 1:
        encoders = ", ".join(f"{k}: {a['text']}{' (pooled)' * a['pooled']}" for k, a in abouts.items())
        raise ConfigError(f"the parts learnt with different caption encoders ({encoders}); train them with one")
    return cast("TextEncoder", resolve(TEXT_ENCODER, names.pop()[0], "text encoder")())


def _check_parents(config: PackConfig) -> None:
    """Raise ConfigError if a part learnt the codes of another tokenizer."""
    tokenizer = sha256_file(config.tokenizer / WEIGHTS)
    for kind, folder in _folders(config).items():
        parent = _history(folder).get("parent")
        if kind != "tokenizer" and parent is not None and parent != tokenizer:
            learnt = f"the {kind} model of {folder} learnt the codes of another tokenizer"
            raise ConfigError(f"{learnt} than {config.tokenizer}")


def _folders(config: PackConfig) -> dict[str, Path]:
    return {"tokenizer": config.tokenizer, "base": config.mask, "residual": config.residual, "length": config.length}


def _history(folder: Path) -> dict[str, Any]:
    path = folder / "provenance.json"
    return as_type(dict[str, Any], read_json(path), path) if path.exists() else {}
