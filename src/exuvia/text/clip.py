"""`CLIPText`: the caption encoder of the published generators, CLIP ViT-B/32, width 512, from the user's own weights.

Nothing is downloaded. Like in MoMask, sentence vectors are not normalised (momask-codes,
models/mask_transformer/transformer.py, encode_text).

The text half of CLIP: learned positions, pre-norm blocks, causal attention, x * sigmoid(1.702 x) as activation; the
state at the end mark is projected to the common space (Sec. 2.4 [radford2021clip]; OpenAI CLIP, clip/model.py).
"""

import gzip
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from torch import Tensor, nn

from exuvia.checkpoint import built, load_state_dicts, load_tensors
from exuvia.config import settings, to_dict
from exuvia.device import check_device
from exuvia.errors import CheckpointError, ConfigError
from exuvia.readers import as_type, guarded, read_json
from exuvia.text.base import fingerprint_of
from exuvia.text.weights import (
    EncoderBlock,
    PretrainedEncoder,
    cached_snapshots,
    load_tokenizer,
    mark_id,
    our_weights,
    package_folder,
)


@settings
class ClipTextConfig:
    """Sizes; the defaults are those of ViT-B/32."""

    vocab_size: int = 49408
    """Number of tokens; the last two are the start and end marks."""
    width: int = 512
    layers: int = 12
    heads: int = 8
    """Heads of each block; OpenAI uses width / 64."""
    context: int = 77
    """Longest text in tokens, including the marks."""
    embedding: int = 512
    """Width E of the common space."""


class ClipBlock(EncoderBlock):
    """Causal self-attention and feed-forward, each after LayerNorm and with a residual sum."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, S, W] -> [B, S, W]."""
        x = x + self.mix(self.norm1(x), is_causal=True)
        y = self.up(self.norm2(x))
        return x + self.down(y * torch.sigmoid(1.702 * y))


class ClipTextTower(nn.Module):
    """Token ids -> projected states; the state at the end mark is the sentence vector."""

    def __init__(self, config: ClipTextConfig | None = None) -> None:
        super().__init__()
        self.config = config or ClipTextConfig()
        c = self.config
        self.tokens = nn.Embedding(c.vocab_size, c.width)
        self.positions = nn.Embedding(c.context, c.width)
        self.layers = nn.ModuleList(ClipBlock(c.width, c.heads, 4 * c.width) for _ in range(c.layers))
        self.norm = nn.LayerNorm(c.width)
        self.projection = nn.Linear(c.width, c.embedding, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """ids [B, S], padded at the end with any id (attention is causal) -> [B, S, E]."""
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return self.projection(self.norm(x))


def text_weights(tensors: Mapping[str, Tensor]) -> tuple[ClipTextConfig, dict[str, Tensor]]:
    """Sizes and state dict of the text half of a CLIP checkpoint under either naming. Raises KeyError."""
    theirs = {name.removeprefix("clip_model."): tensor for name, tensor in tensors.items()}
    is_openai = "token_embedding.weight" in theirs
    ours = our_weights(theirs, "clip_openai" if is_openai else "clip_huggingface")
    if is_openai:
        ours["projection.weight"] = ours["projection.weight"].T.contiguous()  # stored for x @ projection
    vocabulary, width = ours["tokens.weight"].shape
    layers = sum(name.endswith("qkv.weight") for name in ours)
    context, embedding = (ours[f"{name}.weight"].shape[0] for name in ("positions", "projection"))
    return ClipTextConfig(vocabulary, width, layers, max(1, width // 64), context, embedding), ours


REPOSITORY = "openai/clip-vit-base-patch32"
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
START, END = "<|startoftext|>", "<|endoftext|>"
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_MERGES = 49152 - 256 - 2
"""Byte-pair merges of CLIP's vocabulary; the list in the clip package is longer."""


class CLIPText(PretrainedEncoder):
    """Caption encoder with frozen weights; states are projected like the sentence vector."""

    name = "clip"
    default_tokens = 77  # the limit of CLIP, as published generators use it

    def __init__(
        self,
        weights: str | Path | None = None,
        vocabulary: str | Path | None = None,
        device: str | torch.device = "cpu",
        batch: int = 64,
    ) -> None:
        """Load weights and vocabulary; results are on the CPU.

        Args:
            weights: a .safetensors or state-dict file, or a folder with one, under OpenAI's or Hugging Face's names;
                by default from the Hugging Face cache, else ~/.cache/clip/ViT-B-32.pt
            vocabulary: a folder with tokenizer.json, or vocab.json and merges.txt, or bpe_simple_vocab_16e6.txt.gz;
                by default the folder of the weights, else the Hugging Face cache, else an installed clip package

        Raises ConfigError if weights or vocabulary were not found, CheckpointError if a file is damaged, of another
        architecture, or cannot be read safely.
        """
        path = find_clip(weights)
        self.tokenizer = _tokenizer(vocabulary, path)
        self.marks = mark_id(self.tokenizer, START), mark_id(self.tokenizer, END)
        self.padding = self.marks[1]
        self.device, self.batch = torch.device(check_device(str(device))), batch
        self.model = _load_tower(path).to(self.device)
        self.dim, self.limits = self.model.config.embedding, (2, self.model.config.context)
        if max(self.marks) >= self.model.config.vocab_size:
            raise CheckpointError(f"{path} has {self.model.config.vocab_size} tokens, fewer than the vocabulary")

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that identify weights and sizes."""
        return fingerprint_of(self.model.state_dict(), {"name": self.name, **to_dict(self.model.config)})

    def _embed(self, ids: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Sentence vectors: the state at the end mark; and the states."""
        x = self.model(ids.to(self.device)).float().cpu()
        return x[torch.arange(len(x)), valid.sum(1) - 1], x


def find_clip(weights: str | Path | None = None) -> Path:
    """The weights file: the given one, the newest in Hugging Face's cache, or OpenAI's. Raises ConfigError."""
    if weights is not None:
        path = Path(weights)
        files = [file for file in (path, *(path / name for name in WEIGHT_FILES)) if file.is_file()]
        if not files:
            raise ConfigError(f"{path} is not a weights file and has no {' or '.join(WEIGHT_FILES)}")
        return files[0]
    places = [folder / name for folder in cached_snapshots(REPOSITORY) for name in WEIGHT_FILES]
    for place in [*places, Path.home() / ".cache" / "clip" / "ViT-B-32.pt"]:
        if place.is_file():
            return place
    raise ConfigError(
        f"CLIP's weights were not found; download them with: hf download {REPOSITORY}, "
        "or give a path, or use the caption encoder 'minilm'"
    )


def _load_tower(path: Path) -> ClipTextTower:
    tensors = _read(path)
    with guarded(path, "CLIP checkpoint", CheckpointError):
        try:
            config, ours = text_weights(tensors)
        except KeyError as error:
            raise CheckpointError(f"{path} has no tensor {error}, expected a CLIP checkpoint") from None
    return built(lambda: ClipTextTower(config), ours, f"the text encoder of {path}").eval().requires_grad_(False)


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_tensors(path)
    try:
        stored = load_state_dicts(path)
    except CheckpointError as error:
        raise CheckpointError(
            f"{path} cannot be read without running the code in it (OpenAI's original file is a program); "
            f"use the .safetensors file of {REPOSITORY} instead ({error})"
        ) from None
    inner = stored.get("state_dict")
    stored = inner if isinstance(inner, dict) else stored
    return {name: value for name, value in stored.items() if isinstance(value, Tensor)}


def _tokenizer(vocabulary: str | Path | None, weights: Path) -> Tokenizer:
    """Load the first vocabulary found. Raises ConfigError if there is none, CheckpointError if it is damaged."""
    package = package_folder("clip", "bpe_simple_vocab_16e6.txt.gz")
    places = [Path(vocabulary)] if vocabulary is not None else [weights.parent, *cached_snapshots(REPOSITORY)]
    for folder in [*places, *([package] if package and vocabulary is None else [])]:
        if (folder / "tokenizer.json").is_file():
            return load_tokenizer(folder / "tokenizer.json")
        with guarded(folder, "CLIP vocabulary", CheckpointError):
            if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
                path = folder / "vocab.json"
                ids = as_type(dict[str, int], read_json(path, CheckpointError), path, CheckpointError)
                lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
                return clip_tokenizer(ids, _pairs(lines))
            if (listed := folder / "bpe_simple_vocab_16e6.txt.gz").is_file():
                merges = _pairs(gzip.decompress(listed.read_bytes()).decode("utf-8").splitlines())[:_MERGES]
                return clip_tokenizer(numbered(merges), merges)
    raise ConfigError(
        f"found no CLIP vocabulary next to {weights}; put vocab.json and merges.txt of {REPOSITORY} there"
    )


def _pairs(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Merge rules of a list file, without its header line."""
    start = 1 if lines and "version" in lines[0] else 0
    rules = [tuple(line.split()) for line in lines[start:]]
    return [(rule[0], rule[1]) for rule in rules if len(rule) == 2]


def numbered(merges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Ids of all tokens in OpenAI's order: 256 bytes, the bytes at the end of a word, the merges, the two marks.

    Among the bytes, printable characters come first (OpenAI CLIP, clip/simple_tokenizer.py).
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + n) for n in range(len(others))]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges), START, END]
    return {token: number for number, token in enumerate(tokens)}


def clip_tokenizer(ids: dict[str, int], merges: Sequence[tuple[str, str]]) -> Tokenizer:
    """CLIP's byte-pair tokenizer: lower case, single blanks, and a split into words, digits and runs of symbols."""
    tokenizer = Tokenizer(
        models.BPE(vocab=ids, merges=list(merges), end_of_word_suffix="</w>", unk_token=END, fuse_unk=False)
    )
    blanks = normalizers.Replace(Regex(r"\s+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), blanks, normalizers.Lowercase()])
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    letters = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, letters])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
