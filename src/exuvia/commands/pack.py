"""`exuvia pack`: the run folders of the parts -> one pipeline folder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exuvia.commands.table import part
from exuvia.config import from_dict
from exuvia.errors import CheckpointError, ConfigError
from exuvia.files import read_json, sha256_file
from exuvia.pipeline import GenerationConfig
from exuvia.registry import TEXT_ENCODER, resolve

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class PackConfig:
    """Which trained parts become a pipeline."""

    out: Path
    """Folder of the pipeline; an older one there is replaced."""
    tokenizer: Path = Path("runs/tokenizer")
    """Run folder of the tokenizer."""
    mask: Path = Path("runs/mask")
    """Run folder of what writes the base codes: of `exuvia train mask`, `bamm` or `causal`."""
    residual: Path = Path("runs/residual")
    """Run folder of the residual transformer."""
    length: Path = Path("runs/length")
    """Run folder of the length estimator."""
    half: bool = False
    """Store weights as float16: half the size."""
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    """How the pipeline samples unless told otherwise."""
    statistics: Path | None = None
    """Folder made by `exuvia prepare`: ship counts of its training clips' codes, so that forgetting needs no data."""
    concepts: tuple[str, ...] = ("violence", "kick", "punch_jab_box_hit_beat")
    """Concepts to count."""
    card: Path | None = None
    """Markdown file that becomes the model card (README.md)."""


def pack(config: PackConfig) -> None:
    """Join trained parts to one pipeline that `exuvia generate --pipeline FOLDER` loads.

    Raises:
        CheckpointError: a folder holds no finished run of its kind.
        ConfigError: the parts were trained on other tokenizers or caption encoders.
        OutputError: the folder cannot be written.
    """
    pipe = _from_runs(config)
    if config.statistics:
        pipe.statistics = part("ship_statistics")(pipe, part("store").open(config.statistics), config.concepts)
    if config.card:
        pipe.card = _card(config.card)
    save(pipe, config.out, config.half)


def save(pipe: Any, out: Path, half: bool) -> None:
    """Write a pipeline and print its size. Raises OutputError."""
    pipe.save_pretrained(out, half=half)
    size_mb = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    print(f"{out}: {size_mb:.1f} MB, caption encoder {pipe.text.name}")


MODELS = {
    "mask": ("build_generator", ""),
    "residual": ("residual_transformer", "residual_config"),
    "length": ("length_estimator", "length_config"),
}
"""Kind of run -> parts of its model and configuration, in the order that `assemble` takes them."""


KINDS = {"mask": ("mask", "bamm", "causal")}
"""Kinds of run that can stand at a place, where there are several."""


def _from_runs(config: PackConfig) -> Any:
    tokenizer, normaliser = part("load_tokenizer")(config.tokenizer)
    runs = {kind: (getattr(config, kind), *_model(getattr(config, kind), kind)) for kind in MODELS}
    _check_parents(config.tokenizer, {kind: folder for kind, (folder, _, _) in runs.items()})
    abouts = {kind: about for kind, (_, _, about) in runs.items()}
    return part("assemble")(
        tokenizer,
        normaliser,
        *(model for _, model, _ in runs.values()),
        _text(abouts),
        pooled=abouts["mask"]["pooled"],
        generation=config.generation,
        facts={"parts": {kind: _history(folder) for kind, folder in _folders(config).items()}},
    )


def _model(folder: Path, kind: str) -> tuple[Any, dict[str, Any]]:
    about = part("read_config")(folder, *KINDS.get(kind, (kind,)))
    try:
        if kind == "mask":
            model = part("build_generator")({"kind": about["kind"], **about["model"]})
        else:
            model_part, config_part = MODELS[kind]
            model = part(model_part)(from_dict(part(config_part), about["model"]))
    except KeyError as error:
        raise CheckpointError(f"{folder}/config.json has no {error}") from None
    part("load_into")(model, part("load_tensors")(folder / WEIGHTS), f"the {kind} model of {folder}")
    return model, about


def _text(abouts: dict[str, dict[str, Any]]) -> Any:
    """The caption encoder that all parts learnt with. Raises ConfigError if they differ."""
    names = {(about["text"], about["text_fingerprint"]) for about in abouts.values()}
    if len({about["pooled"] for kind, about in abouts.items() if kind != "length"}) > 1 or len(names) > 1:
        found = ", ".join(f"{k}: {a['text']}{' (pooled)' * a['pooled']}" for k, a in abouts.items())
        raise ConfigError(f"the parts learnt with different caption encoders ({found}); train them with one")
    return resolve(TEXT_ENCODER, names.pop()[0], "text encoder")()


def _check_parents(tokenizer: Path, folders: dict[str, Path]) -> None:
    """Raise ConfigError if a part learnt the codes of another tokenizer."""
    own = sha256_file(tokenizer / WEIGHTS)
    for kind, folder in folders.items():
        parent = _history(folder).get("parent")
        if parent is not None and parent != own:
            raise ConfigError(f"the {kind} model of {folder} learnt the codes of another tokenizer than {tokenizer}")


def _folders(config: PackConfig) -> dict[str, Path]:
    return {"tokenizer": config.tokenizer, "mask": config.mask, "residual": config.residual, "length": config.length}


def _history(folder: Path) -> dict[str, Any]:
    path = folder / "provenance.json"
    return read_json(path) if path.exists() else {}


def _card(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a readable model card ({error})") from None
