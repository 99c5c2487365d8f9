"""`MotionPipeline`: generates motion from text, and can be edited and saved."""

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np
import torch
from torch import Tensor

from exuvia.checkpoint import find_pipeline, halved, load_tensors, read_config, save_tensors, write_config
from exuvia.config import from_dict, to_dict
from exuvia.device import Precision, check_device, choose_precision
from exuvia.errors import CheckpointError, ConfigError
from exuvia.features.clips import clip_of
from exuvia.features.normaliser import Normaliser
from exuvia.features.representation import Representation
from exuvia.files import whole_folder, write_json, write_text
from exuvia.motion.clip import Clip
from exuvia.motion.origin import origin_of_weights
from exuvia.motion.rigid import rigid_clip
from exuvia.pipeline.codebook_noise import CodeNoise, added, load_noise
from exuvia.pipeline.parts import PARTS, load_normaliser, load_parts, renamed
from exuvia.pipeline.prompt_guard import PromptGuard, Route, load_guards, routes, save_guards
from exuvia.pipeline.settings import GenerationConfig, History, PipelineFacts, PipelineFile, Sampling, check_prompts
from exuvia.pipeline.stream import Scene, stream
from exuvia.readers import as_type, read_json, read_utf8
from exuvia.registry import REPRESENTATION, TEXT_ENCODER, resolve, suggest
from exuvia.sequence.base import BaseGenerator
from exuvia.sequence.generators import describe_generator
from exuvia.sequence.length import LengthEstimator, OwnLength
from exuvia.sequence.residual_transformer import ResidualTransformer
from exuvia.text.base import TextEncoder, encode_alone
from exuvia.text.tags import warn_of_unknown
from exuvia.tokens.rvqvae import RVQVAE

log = logging.getLogger(__name__)

Each = int | Sequence[int]
"""One number for all prompts, or one per prompt."""
DTYPES: dict[str, Precision] = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
BATCH = 16
"""Number of prompts in a batch; it fits into a CPU's caches."""


@dataclass(frozen=True)
class Generation:
    """Clips with the codes and features they were decoded from."""

    clips: list[Clip]
    """One motion per prompt: rigid bodies that stand on their feet, or what the decoder made if `raw` was set."""
    codes: Tensor
    """[B, T, Q]; -1 beyond a clip's length"""
    lengths: Tensor
    """Number of code steps of each clip [B]"""
    features: list[np.ndarray]
    """Un-normalised features [F, C] of each clip as the decoder made them; metrics are taken on these"""


@dataclass
class MotionPipeline:
    """A text-to-motion generator: caption encoder, length, base codes, residual codes, tokenizer."""

    tokenizer: RVQVAE
    base: BaseGenerator
    """Generator of base codes: a masked transformer, BAMM, or a causal generator."""
    residual: ResidualTransformer
    length: LengthEstimator | OwnLength
    normaliser: Normaliser
    text: TextEncoder
    config: PipelineFacts
    """Caption encoder, sampling settings and layout of the features."""
    provenance: dict[str, Any]
    """Origin of the weights; every edit adds an entry to `edits`."""
    statistics: dict[str, Tensor] | None = None
    """Code counts of concepts, if shipped; see codes/statistics.py."""
    card: str = ""
    """Model card in Markdown: what the weights were made from, under which terms."""
    guards: list[PromptGuard] = field(default_factory=list)
    """Rules for prompts that are rewritten or use other weights; see prompt_guard.py."""
    codebook_noise: list[CodeNoise] = field(default_factory=list)
    """Noise on codebook rows, redrawn for every motion; see codebook_noise.py."""
    dtype: str = "float32"
    """Precision of the transformers' matrix products: float32, bfloat16 or float16. Weights are not converted."""

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, device: str = "cpu", text: TextEncoder | None = None, dtype: str = "float32"
    ) -> "MotionPipeline":
        """Load a shipped checkpoint by name, a folder, or a Hugging Face hub id.

        Args:
            name: "base", a folder made by `save_pretrained`, or "owner/model"
            device: device of the models
            text: a caption encoder to use instead of the recorded one
            dtype: precision of matrix products; bfloat16 and float16 are faster on devices that support them natively
        Raises:
            CheckpointError: nothing found, or weights of another architecture.
            ConfigError: unknown name or device, or the recorded caption encoder is not installed.
        """
        if dtype not in DTYPES:
            raise ConfigError(f"unknown dtype {dtype!r}; {suggest(dtype, DTYPES)}")
        choose_precision(DTYPES[dtype], check_device(device).partition(":")[0])
        folder = find_pipeline(name)
        config = renamed(read_config(folder, "pipeline"))
        as_type(PipelineFile, config, folder / "config.json", CheckpointError)
        about: PipelineFacts = {"text": config["text"], "generation": config["generation"]}
        if "representation" in config:
            about["representation"] = config["representation"]
        from_dict(GenerationConfig, about["generation"])
        parts = load_parts(folder, config, device)
        sizes = parts[0].config
        guards = [guard.to(device) for guard in load_guards(folder, config.get("guards", []))]
        noise = load_noise(config.get("codebook_noise", []), sizes.num_quantizers, sizes.num_codes)
        if text is None:
            text = resolve(TEXT_ENCODER, about["text"]["name"], "text encoder")()
        if text.fingerprint != about["text"]["fingerprint"]:
            log.warning("caption encoder %s differs from the one in this generator's training", text.name)
        counts, readme, origin = (folder / n for n in ("code_statistics.safetensors", "README.md", "provenance.json"))
        statistics = load_tensors(counts) if counts.exists() else None
        card = read_utf8(readme, "model card") if readme.exists() else ""
        as_type(History, history := read_json(origin, CheckpointError), origin, CheckpointError)
        if "parts" in history:
            history["parts"] = renamed(history["parts"])
        normaliser = load_normaliser(folder, sizes.input_dim)
        return cls(*parts, normaliser, text, about, history, statistics, card, guards, noise, dtype)

    def save_pretrained(self, folder: str | Path, *, half: bool = False, overwrite: bool = False) -> Path:
        """Write a folder that `from_pretrained` reads; an older pipeline there is replaced, other content as
        `files.check_folder` says. `half` stores float16 weights, widened again on load. Raises OutputError."""
        with whole_folder(folder, "pipeline", overwrite=overwrite) as out:
            sizes = {}
            for part in PARTS:
                module = getattr(self, part)
                sizes[part] = describe_generator(module) if part == "base" else to_dict(module.config)
                state = module.state_dict()
                save_tensors(out / f"{part}.safetensors", halved(state) if half else state)
            mean, std = torch.from_numpy(self.normaliser.mean), torch.from_numpy(self.normaliser.std)
            save_tensors(out / "normaliser.safetensors", {"mean": mean, "std": std})
            if self.statistics is not None:
                save_tensors(out / "code_statistics.safetensors", self.statistics)
            extra: dict[str, Any] = {"guards": save_guards(out, self.guards)} if self.guards else {}
            if self.codebook_noise:
                extra["codebook_noise"] = [noise.describe() for noise in self.codebook_noise]
            write_config(out, "pipeline", {**sizes, **self.config, **extra})
            write_json(out / "provenance.json", self.provenance)
            if self.card:
                write_text(out / "README.md", self.card)
        return Path(folder)

    def clone(self) -> "MotionPipeline":
        """Copy everything except the caption encoder, which is shared because nothing edits it."""
        copied = (*PARTS, "config", "provenance", "statistics", "guards", "codebook_noise")
        return replace(self, **{name: copy.deepcopy(getattr(self, name)) for name in copied})

    # generation

    @property
    def generation(self) -> GenerationConfig:
        """The default sampling settings."""
        return from_dict(GenerationConfig, self.config["generation"])

    @property
    def representation(self) -> Representation:
        """Layout of the features, HumanML3D's or KIT-ML's. Raises ConfigError for an unknown one."""
        name = self.config.get("representation", "humanml3d")
        representation: Representation = resolve(REPRESENTATION, name, "representation")
        return representation

    @property
    def device(self) -> torch.device:
        """Device of the models."""
        return next(self.base.parameters()).device

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is also a Sequence[str]; the first match counts
        self,
        prompt: str,
        *,
        seed: Each = 0,
        frames: Each | None = None,
        raw: bool = False,
        **sampling: Unpack[Sampling],
    ) -> Clip: ...

    @overload
    def __call__(
        self,
        prompt: Sequence[str],
        *,
        seed: Each = 0,
        frames: Each | None = None,
        raw: bool = False,
        **sampling: Unpack[Sampling],
    ) -> list[Clip]: ...

    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        seed: Each = 0,
        frames: Each | None = None,
        raw: bool = False,
        **sampling: Unpack[Sampling],
    ) -> Clip | list[Clip]:
        """Generate motion for one prompt (a `Clip`) or several (a list of clips).

        Args:
            prompt: description of the motion, in English
            seed: one for all prompts, or one each; a prompt and seed give the same motion alone or in any batch
            frames: length in frames (20 per second, KIT-ML 12.5), one for all or one each; None: estimated
            raw: return the decoder's joints, whose bones change length, instead of a rigid body (motion/rigid.py)
            sampling: settings of `GenerationConfig` to change
        Raises:
            ConfigError: empty or overlong prompt, length out of range, unknown setting.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        clips = self.generate(prompts, seed=seed, frames=frames, raw=raw, **sampling).clips
        return clips[0] if isinstance(prompt, str) else clips

    def generate(
        self,
        prompts: Sequence[str],
        *,
        seed: Each = 0,
        frames: Each | None = None,
        raw: bool = False,
        batch_size: int = BATCH,
        progress: Callable[[int, int], None] | None = None,
        **sampling: Unpack[Sampling],
    ) -> Generation:
        """Generate clips with codes and features; see `__call__`. Calls `progress(done, total)` after every batch."""
        codes, lengths, seeds = self.generate_codes(
            prompts, seed=seed, frames=frames, batch_size=batch_size, progress=progress, **sampling
        )
        features = self.decode(codes, lengths, smoothing=replace(self.generation, **sampling).smoothing, seeds=seeds)
        origin = origin_of_weights(self.provenance, self.card)
        clips = [
            clip_of(rows, self.representation, caption=text, meta={"seed": clip_seed, "prompt": text, **origin})
            for rows, text, clip_seed in zip(features, prompts, seeds, strict=True)
        ]
        return Generation(clips if raw else list(map(rigid_clip, clips)), codes, lengths, features)

    def generate_codes(
        self,
        prompts: Sequence[str],
        *,
        seed: Each = 0,
        frames: Each | None = None,
        batch_size: int = BATCH,
        progress: Callable[[int, int], None] | None = None,
        **sampling: Unpack[Sampling],
    ) -> tuple[Tensor, Tensor, list[int]]:
        """Generate codes for `decode`, without using the codebook; see `generate`.
        Returns codes [B, T, Q], -1 beyond a clip's length; the number of steps [B]; one seed per prompt."""
        check_prompts(prompts)
        warn_of_unknown(prompts, self.text)
        settings = replace(self.generation, **sampling)
        seeds = [seed] * len(prompts) if isinstance(seed, int) else list(seed)
        if len(seeds) != len(prompts):
            raise ConfigError(f"found {len(seeds)} seeds for {len(prompts)} prompts, expected one for all or one each")
        steps = self._steps(frames, len(prompts), settings)
        codes = torch.full((len(prompts), settings.max_steps, self.tokenizer.config.num_quantizers), -1)
        lengths = torch.zeros(len(prompts), dtype=torch.long)
        order = range(len(prompts)) if steps is None else np.argsort(steps, kind="stable").tolist()  # reduces padding
        for low in range(0, len(prompts), batch_size):
            batch = order[low : low + batch_size]
            for route in routes(self.guards, [prompts[row] for row in batch], self._embed):
                rows = [batch[row] for row in route.rows]
                wanted = None if steps is None else torch.tensor([steps[row] for row in rows])
                with torch.autocast(self.device.type, getattr(torch, self.dtype), self.dtype != "float32"):
                    lengths[rows], generated = self._codes(route, [seeds[row] for row in rows], wanted, settings)
                codes[rows, : generated.shape[1]] = generated
            if progress is not None:
                progress(min(len(prompts), low + batch_size), len(prompts))
        return codes[:, : int(lengths.max())], lengths, seeds

    @torch.inference_mode()
    def decode(
        self, codes: Tensor, lengths: Tensor, smoothing: float = 0.0, seeds: Sequence[int] | None = None
    ) -> list[np.ndarray]:
        """Decode codes [B, T, Q] to un-normalised features [F, C]; contacts are not smoothed.

        Each clip is decoded alone, because the last bits of a convolution depend on its batch size. Without seeds, no
        `noise` is added.
        """
        rows: list[np.ndarray] = []
        for number, steps in enumerate(lengths.tolist()):
            clip = codes[number : number + 1, :steps]
            seed = seeds[number : number + 1] if seeds and self.codebook_noise else ()
            extra = added(self.codebook_noise, clip, seed, self.tokenizer.config.code_dim) if seed else None
            decoded = self.tokenizer.decode(clip.to(self.device), extra)[0]
            real = self.normaliser.denormalise(decoded.float().cpu().numpy())
            if smoothing > 0:
                from scipy.ndimage import gaussian_filter1d  # slow import, rarely needed

                real[:, :-4] = gaussian_filter1d(real[:, :-4], smoothing, axis=0, mode="nearest")
            rows.append(real)
        return rows

    def stream(self, scenes: Iterable[Scene], *, seed: int = 0, raw: bool = False) -> Iterator[Clip]:
        """Generate one motion of any length, a piece at a time; see `exuvia.pipeline.stream.stream`."""
        yield from stream(self, scenes, seed=seed, raw=raw)

    def _embed(self, texts: Sequence[str]) -> Tensor:
        return encode_alone(self.text, texts).pooled

    @torch.inference_mode()
    def _codes(
        self, route: Route, seeds: Sequence[int], lengths: Tensor | None, settings: GenerationConfig
    ) -> tuple[Tensor, Tensor]:
        states, device = encode_alone(self.text, route.texts), self.device
        generator = route.base or self.base
        if lengths is None and not generator.PREDICTS_LENGTH:
            low, high = settings.min_steps, settings.max_steps
            lengths = self.length.sample(states.pooled.to(device), seeds=seeds, low=low, high=high)
        pooled = self.config["text"]["pooled"]
        cond, valid = (states.pooled[:, None] if pooled else states.states).to(device), None if pooled else states.valid
        limits: dict[str, Any] = {"shortest": settings.min_steps, "longest": settings.max_steps}
        base = generator.generate(
            cond, lengths, valid, seeds=seeds, steps=settings.steps, **limits, **settings.of_base()
        )
        lengths = (base >= 0).sum(1) if lengths is None else lengths.to(device)
        seeds, residual = [seed + 1 for seed in seeds], route.residual or self.residual
        codes = residual.generate(base, cond, lengths, valid, seeds=seeds, **settings.of_residual())
        return lengths.cpu(), codes.cpu()

    def _steps(self, frames: Each | None, count: int, settings: GenerationConfig) -> list[int] | None:
        if frames is None:
            return None
        wanted = [frames] * count if isinstance(frames, int) else list(frames)
        if len(wanted) != count:
            raise ConfigError(f"found {len(wanted)} lengths for {count} prompts, expected one for all or one each")
        stride = self.tokenizer.config.stride
        low, high = settings.min_steps * stride, settings.max_steps * stride
        for length in wanted:
            if not low <= length <= high:
                rate = self.representation.fps
                seconds = f"{low / rate:g} to {high / rate:g} s"
                raise ConfigError(f"found a length of {length} frames, expected {low} to {high} ({seconds})")
        return [length // stride for length in wanted]
