"""Where an encoder's files lie (a folder, an installed package, a local cache; never a network), and their weights."""

import importlib.metadata
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from exuvia.cache import keep_json, recall_json, stable_hash
from exuvia.errors import CheckpointError, OutputError
from exuvia.readers import guarded, read_toml

_NAMES = read_toml(Path(__file__).with_name("names.toml"))


def package_folder(package: str, file: str) -> Path | None:
    """Folder of the first file of an installed package whose path ends in `file`; nothing is imported.

    Args:
        package: name on the package index
        file: end of the file's path, e.g. "model/config.json"
    """
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for entry in files:
        path = Path(str(entry.locate()))
        if str(entry).endswith(file) and path.is_file():
            return path.parent
    return None


def cached_snapshots(repository: str) -> list[Path]:
    """Folders of a Hugging Face repository in the local cache, newest first.

    Layout and variables: huggingface_hub documentation, "Understand caching" (`HF_HUB_CACHE`, else `HF_HOME`/hub).
    """
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
    folder = cache / ("models--" + repository.replace("/", "--")) / "snapshots"
    found = [path for path in folder.glob("*") if path.is_dir()]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def remembered(path: Path, about: Any, compute: Callable[[], str]) -> str:
    """`compute()`, which reads all of a file of weights; kept in the user's cache for as long as the file is the same.

    Args:
        path: of the weights; known again by its place, size and times of change
        about: what else decides the result, JSON-ready
    """
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    state = path.stat()
    facts = [str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ctime_ns, about]
    entry = Path(os.environ.get("EXUVIA_CACHE") or Path(home) / "exuvia") / f"digest-{stable_hash(facts)[:24]}.json"
    found = (recall_json(entry, facts) or {}).get("digest")
    if isinstance(found, str):
        return found
    digest = compute()
    with suppress(OutputError):  # a cache that cannot be written only costs time
        keep_json(entry, facts, {"digest": digest})
    return digest


def our_weights(tensors: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Published weights under our names; whatever else a file holds is left out.

    Args:
        tensors: by published name
        kind: a table of names.toml
    Raises:
        KeyError: a tensor is missing.
    """
    about = _NAMES[kind]
    block = about["block"]
    ours = {own: tensors[name] for own, name in about["outside"].items()}
    for i in {name.removeprefix(block).split(".")[0] for name in tensors if name.startswith(block)}:
        for end in ("weight", "bias"):
            ours[f"layers.{i}.qkv.{end}"] = torch.cat([tensors[f"{block}{i}.{p}{end}"] for p in about["attention"]])
            for own, name in about["inside"].items():
                ours[f"layers.{i}.{own}.{end}"] = tensors[f"{block}{i}.{name}.{end}"]
    return ours


def load_tokenizer(path: Path) -> Tokenizer:
    """A `tokenizers` file without its truncation and padding. Raises CheckpointError if it cannot be read."""
    with guarded(path, "tokenizer file", CheckpointError):
        tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def mark_id(tokenizer: Tokenizer, mark: str) -> int:
    """Id of a special token. Raises CheckpointError if the tokenizer has none of that name."""
    found = tokenizer.token_to_id(mark)
    if found is None:
        raise CheckpointError(f"the tokenizer has no token {mark}, so it belongs to another kind of encoder")
    return found
