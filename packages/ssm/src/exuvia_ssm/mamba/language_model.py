"""`MambaLM`: a causal language model of Mamba blocks that reads published checkpoints and generates text.

    (M12)  x = embedding(ids);   x = x + mixer(norm(x)) in every layer;   logits = lm_head(norm_f(x))

Source: Gu and Dao [gu2023mamba]; names and initial values as in mixer_seq_simple.py of state-spaces/mamba; the other
layout: configuration_mamba.py and configuration_falcon_mamba.py of transformers 5.24.
"""

import json
import math
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from exuvia_ssm.errors import ConfigError, ShapeError
from exuvia_ssm.mamba.mamba import Mamba, MambaState

PREFILL = 1024
"""Tokens of a prompt that are processed at once; memory does not grow with longer prompts."""
OPTIONS = {
    "hidden_size": "d_model", "num_hidden_layers": "n_layer", "layer_norm_epsilon": "eps", "state_size": "d_state",
    "conv_kernel": "d_conv", "time_step_rank": "dt_rank", "use_bias": "bias", "use_conv_bias": "conv_bias",
    "vocab_size": "vocab_size", "tie_word_embeddings": "tied",
}  # fmt: skip
"""Names in a config.json of transformers -> options of MambaLM, which have the same default values."""


class MambaLM(nn.Module):
    """A causal language model, ids [B, L] -> logits [B, L, V] float32 (float64).   (M12)

    The head shares the weight of the embedding if `tied`; `eps` is that of the norms; `options` are the fields of
    `MambaConfig`. The sum over the layers is float32 in lower precision, too. Raises ConfigError for an unknown option.
    """

    def __init__(
        self, vocab_size: int, d_model: int, n_layer: int, eps: float = 1e-5, tied: bool = True, **options: Any
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.layers = nn.ModuleList()
        self.norm_f = nn.RMSNorm(d_model, eps=eps)
        self.lm_head = None if tied else nn.Linear(d_model, vocab_size, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.02)
        for _ in range(n_layer):
            mixer = Mamba(d_model, **options)
            mixer.out_proj.weight.data /= n_layer**0.5
            self.layers.append(nn.ModuleDict({"norm": nn.RMSNorm(d_model, eps=eps), "mixer": mixer}))

    @classmethod
    def from_pretrained(cls, folder: str | Path, dtype: torch.dtype = torch.float32) -> "MambaLM":
        """Load a model of type mamba or falcon_mamba of transformers, or one of state-spaces/mamba, from its folder.

        Weights are model.safetensors (needs the package safetensors) or pytorch_model.bin, whole or in the pieces that
        an .index.json names. Files of torch.save are read with weights_only=True.

        Raises:
            ConfigError: a missing or damaged file, a kind of model or an option without support, or weights that are
                missing, unknown or of another shape.
        """
        folder = Path(folder)
        config = _read(folder / "config.json")
        try:
            with torch.device("meta"):
                model = cls(**_options(config))
        except (ConfigError, LookupError, TypeError, ValueError, RuntimeError) as error:
            raise ConfigError(f"{folder / 'config.json'} describes no model that MambaLM has: {error}") from None
        own, found = model.state_dict(), _weights(folder)
        if model.lm_head is None:
            found.pop("lm_head.weight", None)  # the weight of the embedding once more
        shapes = [key for key in own if key in found and own[key].shape != getattr(found[key], "shape", None)]
        groups = {"missing": own.keys() - found, "unknown": found.keys() - own, "of another shape": shapes}
        if any(groups.values()):
            wrong = (f"{len(keys)} {kind} ({', '.join(sorted(keys)[:9])})" for kind, keys in groups.items() if keys)
            raise ConfigError(f"the weights in {folder} do not fit its config.json: {', '.join(wrong)}")
        model.load_state_dict({key: value.to(dtype) for key, value in found.items()}, assign=True)
        return model.eval()

    def forward(
        self, ids: Tensor, valid: Tensor | None = None, state: Any = None, return_state: bool = False
    ) -> Tensor | tuple[Tensor, tuple[MambaState, ...]]:
        """ids [B, L] -> logits [B, L, V], or (logits, state); arguments as in exuvia_ssm.layer. Raises ShapeError."""
        x, after = self._hidden(ids, valid, state)
        return (self._logits(x), after) if return_state else self._logits(x)

    def _hidden(self, ids: Tensor, valid: Tensor | None, state: Any) -> tuple[Tensor, tuple[MambaState, ...]]:
        """ids [B, L] -> sum over the layers [B, L, D], state of every layer."""
        if ids.dim() != 2 or ids.is_floating_point():
            raise ShapeError(f"found ids {list(ids.shape)} {ids.dtype}; expected whole numbers [batch, length]")
        x, after = self.embedding(ids), []
        x = x if x.dtype == torch.float64 else x.float()
        single = state is not None and valid is None and ids.shape[1] == 1
        for layer, before in zip(cast(Any, self.layers), state or [None] * len(self.layers), strict=True):
            norm, mixer = layer.values()
            u = norm(x.to(norm.weight.dtype))
            y, last = mixer.step(u[:, 0], before) if single else mixer(u, valid, before, return_state=True)
            x = x + y.reshape(x.shape)
            after.append(last)
        return x, tuple(after)

    def _logits(self, x: Tensor) -> Tensor:
        x = self.norm_f(x.to(self.norm_f.weight.dtype))
        logits = F.linear(x, self.embedding.weight) if self.lm_head is None else self.lm_head(x)
        return logits if logits.dtype == torch.float64 else logits.float()

    @torch.no_grad()
    def generate(
        self,
        ids: Tensor,
        max_new_tokens: int = 64,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int = 0,
        stream: Callable[[Tensor], object] | None = None,
    ) -> Tensor:
        """Continue prompts of equal length: ids [B, L] -> [B, L + max_new_tokens].

        Args:
            ids: prompts                                                                      [B, L]
            max_new_tokens: number of tokens to add
            temperature: divides the logits; 0 takes the most likely token
            top_k: only this many of the most likely tokens; None: all
            top_p: only the most likely tokens that together have this probability
            seed: the same seed gives the same tokens on one machine
            stream: called with the tokens [B] of every step; if it returns True, they are the last
        Raises:
            ConfigError: an option out of range.
            ShapeError: prompts without tokens, or with tokens outside of the vocabulary.
        """
        if min(temperature, max_new_tokens) < 0 or (top_k is not None and top_k < 1) or not 0 < top_p <= 1:
            given = f"temperature = {temperature}, top_k = {top_k}, top_p = {top_p}, max_new_tokens = {max_new_tokens}"
            raise ConfigError(f"found {given}; expected at least 0, None or at least 1, above 0 to 1, at least 0")
        size = self.embedding.num_embeddings
        if ids.dim() != 2 or ids.numel() == 0 or not 0 <= int(ids.min()) <= int(ids.max()) < size:
            raise ShapeError(f"found ids {list(ids.shape)}; expected [batch, length] with tokens from 0 to {size - 1}")
        generator = torch.Generator(ids.device).manual_seed(seed)
        tokens, state = [ids], None
        for _ in range(max_new_tokens):
            for piece in tokens[-1].split(PREFILL, dim=1):
                x, state = self._hidden(piece, None, state)
            token = _sampled(self._logits(x[:, -1]), temperature, top_k, top_p, generator).to(ids.dtype)
            tokens.append(token[:, None])
            if stream is not None and stream(token) is True:
                break
        return torch.cat(tokens, 1)


def _sampled(logits: Tensor, temperature: float, top_k: int | None, top_p: float, generator: torch.Generator) -> Tensor:
    """Draw one token a row: logits [B, V] -> [B]."""
    if temperature == 0:
        return logits.argmax(-1)
    chances, order = (logits / temperature).softmax(-1).sort(-1, descending=True)
    chances = chances[:, :top_k] / chances[:, :top_k].sum(-1, keepdim=True)
    chances = torch.where(chances.cumsum(-1) - chances < top_p, chances, 0)  # the most likely one always stays
    return order.gather(1, torch.multinomial(chances, 1, generator=generator)).squeeze(1)


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of MambaLM for a config.json. Raises ConfigError, KeyError or TypeError."""
    kind = config.get("model_type")
    if kind is None and "n_layer" in config:
        own = {"layer": "Mamba1"} | (config.get("ssm_cfg") or {})
        refused = [name for name in ("attn_layer_idx", "d_intermediate") if config.get(name)]
        if own.pop("layer") != "Mamba1" or refused or not config.get("rms_norm", True):
            raise ConfigError("it has Mamba-2, attention, an MLP or LayerNorm")
        multiple = config.get("pad_vocab_size_multiple", 8)
        own["vocab_size"] = math.ceil(config["vocab_size"] / multiple) * multiple
        own |= {name: config[name] for name in ("d_model", "n_layer")}
        return own | {"tied": config.get("tie_embeddings", True)}
    if kind not in ("mamba", "falcon_mamba") or config.get("hidden_act", "silu") not in ("silu", "swish"):
        raise ConfigError(f"found model_type {kind!r}; expected mamba or falcon_mamba with the activation silu")
    own = {ours: config[theirs] for theirs, ours in OPTIONS.items() if theirs in config}
    inner = config.get("intermediate_size") or int(config.get("expand", 2) * own["d_model"])
    own["expand"] = (inner + 0.5) / own["d_model"]  # the half keeps the product, rounded down, at `inner`
    return own | ({"selection_eps": config.get("mixer_rms_eps", 1e-6)} if kind == "falcon_mamba" else {})


def _weights(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a folder under the names of MambaLM. Raises ConfigError."""
    for whole in ("model.safetensors", "pytorch_model.bin"):
        files, index = {whole}, folder / f"{whole}.index.json"
        if index.is_file():
            files = {Path(str(name)).name for name in dict(_read(index).get("weight_map", {})).values()}
        elif not (folder / whole).is_file():
            continue
        found = {key: value for name in sorted(files) for key, value in _read(folder / name).items()}
        return {key.removeprefix("backbone.").replace("embeddings.", "embedding."): t for key, t in found.items()}
    raise ConfigError(f"{folder} has neither model.safetensors nor pytorch_model.bin, nor the index of one")


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON object or a file of weights. Raises ConfigError."""
    safetensor_error: type[Exception] = OSError
    try:
        if path.suffix == ".json":
            found = json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".safetensors":
            safetensor_error = import_module("safetensors").SafetensorError
            found = import_module("safetensors.torch").load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError:
        raise ConfigError(f"{path} needs the package safetensors: pip install safetensors") from None
    except (OSError, RuntimeError, ValueError, EOFError, LookupError, UnpicklingError, safetensor_error) as error:
        raise ConfigError(f"cannot read {path}: {str(error).partition(chr(10))[0]}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"found a {type(found).__name__} in {path}; expected names with values")
    return found
