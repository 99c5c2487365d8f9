"""Where an encoder's files lie (a folder, an installed package, a local cache; never a network), and their weights."""

import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from exuvia.errors import CheckpointError


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


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file. Raises CheckpointError if it is missing or damaged."""
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error})") from None


def fill(module: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Load weights strictly, widened to the module's precision.

    Raises:
        CheckpointError: a tensor is missing, unexpected, or of another shape; the first is named.
    """
    own = module.state_dict()
    for name in sorted(own.keys() ^ tensors.keys()):
        raise CheckpointError(f"weights do not fit {what}: {name} is {'missing' if name in own else 'unexpected'}")
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            found, expected = tuple(tensor.shape), tuple(own[name].shape)
            raise CheckpointError(f"weights do not fit {what}: found {name} of shape {found}, expected {expected}")
    module.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in tensors.items()})


def load_tokenizer(path: Path) -> Tokenizer:
    """A `tokenizers` file without its truncation and padding. Raises CheckpointError if it cannot be read."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(f"{path} is not a readable tokenizer file ({error})") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def mark_id(tokenizer: Tokenizer, mark: str) -> int:
    """Id of a special token. Raises CheckpointError if the tokenizer has none of that name."""
    found = tokenizer.token_to_id(mark)
    if found is None:
        raise CheckpointError(f"the tokenizer has no token {mark}, so it belongs to another kind of encoder")
    return found
