"""Pretrained encoders: finding their files (in a folder, package or cache, never online), weights, and tokenizing."""

import importlib.metadata
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from exuvia.cache import keep_json, recall_json, stable_hash
from exuvia.errors import CheckpointError, ConfigError, OutputError
from exuvia.readers import guarded, read_toml
from exuvia.text.base import TextStates, encode_by_length, truncated

_NAMES = read_toml(Path(__file__).with_name("names.toml"))


def package_folder(package: str, file: str) -> Path | None:
    """Folder of the first file of an installed package whose path ends in `file`; the package is not imported."""
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

    Layout and variables (`HF_HUB_CACHE`, else `HF_HOME`/hub): huggingface_hub documentation, "Understand caching".
    """
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
    folder = cache / ("models--" + repository.replace("/", "--")) / "snapshots"
    snapshots = [path for path in folder.glob("*") if path.is_dir()]
    return sorted(snapshots, key=lambda path: path.stat().st_mtime, reverse=True)


def cached_digest(path: Path, about: Any, compute: Callable[[], str]) -> str:
    """Result of `compute()`, which reads a whole weights file, cached for the user until file or `about` changes."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    state = path.stat()
    facts = [str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ctime_ns, about]
    entry = Path(os.environ.get("EXUVIA_CACHE") or Path(home) / "exuvia") / f"digest-{stable_hash(facts)[:24]}.json"
    cached = (recall_json(entry, facts) or {}).get("digest")
    if isinstance(cached, str):
        return cached
    digest = compute()
    with suppress(OutputError):  # without a writable cache, the digest is computed each time
        keep_json(entry, facts, {"digest": digest})
    return digest


def our_weights(tensors: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Rename published weights by a table (`kind`) of names.toml, and leave out others. Raises KeyError."""
    table = _NAMES[kind]
    block = table["block"]
    ours = {our_name: tensors[name] for our_name, name in table["outside"].items()}
    for i in {name.removeprefix(block).split(".")[0] for name in tensors if name.startswith(block)}:
        for end in ("weight", "bias"):
            ours[f"layers.{i}.qkv.{end}"] = torch.cat([tensors[f"{block}{i}.{p}{end}"] for p in table["attention"]])
            for our_name, name in table["inside"].items():
                ours[f"layers.{i}.{our_name}.{end}"] = tensors[f"{block}{i}.{name}.{end}"]
    return ours


def load_tokenizer(path: Path) -> Tokenizer:
    """Read a `tokenizers` file, and switch off truncation and padding. Raises CheckpointError."""
    with guarded(path, "tokenizer file", CheckpointError):
        tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def mark_id(tokenizer: Tokenizer, mark: str) -> int:
    """Id of a special token. Raises CheckpointError if the tokenizer does not have it."""
    number = tokenizer.token_to_id(mark)
    if number is None:
        raise CheckpointError(f"the tokenizer has no token {mark}, so it belongs to another kind of encoder")
    return number


class EncoderBlock(nn.Module):
    """Layers of a transformer block, as BERT and CLIP both have them."""

    def __init__(self, width: int, heads: int, inner_width: int, norm_eps: float = 1e-5) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm1 = nn.LayerNorm(width, norm_eps)
        self.up = nn.Linear(width, inner_width)
        self.down = nn.Linear(inner_width, width)
        self.norm2 = nn.LayerNorm(width, norm_eps)

    def mix(self, x: Tensor, **mask: Any) -> Tensor:
        """Self-attention [B, S, E] -> [B, S, E]; `mask`: arguments of `scaled_dot_product_attention`."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, **mask)
        return self.out(mixed.transpose(1, 2).flatten(2))


class PretrainedEncoder(ABC):
    """Base class of caption encoders with a tokenizer and frozen weights."""

    name: str
    tokenizer: Tokenizer
    marks: tuple[int, int]
    """Ids of the start and end marks."""
    dim: int
    """Width E."""
    batch: int
    """Texts computed at a time."""
    padding: int
    """Id that fills a batch."""
    limits: tuple[int, int]
    """Smallest and largest `max_tokens`."""
    default_tokens: int
    """`max_tokens` if none is given."""

    @torch.no_grad()
    def encode(self, texts: Sequence[str], max_tokens: int | None = None) -> TextStates:
        """Embed captions, cut to `max_tokens` with both marks. Raises ConfigError if this is out of range."""
        most = self.default_tokens if max_tokens is None else max_tokens
        if not self.limits[0] <= most <= self.limits[1]:
            raise ConfigError(f"found max_tokens {most}, expected {self.limits[0]} to {self.limits[1]}")
        return encode_by_length(self.token_ids(texts, most), self.dim, self.batch, self.padding, self._embed)

    def token_ids(self, texts: Iterable[str], max_tokens: int) -> list[list[int]]:
        """Token ids with start and end marks, at most `max_tokens` per text."""
        start, end = self.marks
        pieces = self.tokenizer.encode_batch([truncated(text, max_tokens) for text in texts], add_special_tokens=False)
        return [[start, *piece.ids[: max_tokens - 2], end] for piece in pieces]

    @abstractmethod
    def _embed(self, ids: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Sentence vectors [B, E] and states [B, S, E] of padded ids [B, S]."""
