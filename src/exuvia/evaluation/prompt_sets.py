"""Prompts of the forget and the retain set of a benchmark, and their generated motions, with a cache.

A prompt is the caption of a real clip, and its motion has the length of that clip. Without data, short built-in
sentences replace captions, and there are no real motions for comparison.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from exuvia.cache import keep_arrays, recall_arrays
from exuvia.config import to_dict
from exuvia.data.captions import Caption
from exuvia.data.concepts import VIOLENCE, Concept
from exuvia.data.splits import actual_rule, caption_verdict, split_store
from exuvia.data.store import ClipRecord, Store
from exuvia.errors import ConfigError
from exuvia.judges.guo import UNIT
from exuvia.pipeline.identity import codes_hash, pipeline_hash
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.readers import read_toml
from exuvia.shapes import Features

CHUNK = 64
"""Number of motions in one file of the cache; a killed run loses at most this many."""
SHORTEST, LONGEST = 20, 196
"""Range of lengths in frames; longer clips are cut, shorter ones are dropped."""


@dataclass(frozen=True, eq=False)
class PromptSet:
    """Prompts of one kind, with the real clips that they describe, if any."""

    name: str
    """forget, retain, all (both) or lookalike."""
    texts: tuple[str, ...]
    tokens: tuple[str | None, ...]
    """`word/POS ...` of each sentence, if known."""
    frames: tuple[int, ...]
    """Length of each motion in frames, whole code steps."""
    real: tuple[Features, ...] = ()
    """Un-normalised features [frames, C] of the real clips; empty without data."""
    ids: tuple[str, ...] = ()
    """Ids of the real clips; empty without data."""
    parts: tuple["PromptSet", ...] = ()
    """The sets that this set joins."""

    def __len__(self) -> int:
        return len(self.texts)


def prompt_sets(
    store: Store,
    concept: Concept,
    *,
    rule: str = "auto",
    split: str = "test",
    sensors: Sequence[str] = (),
    limit: int | None = None,
    moved: Sequence[str] = (),
) -> list[PromptSet]:
    """Forget, retain and look-alike prompts of a data set: one caption per clip, chosen by the clip's id.

    The forget set prefers captions that name the concept. Look-alikes are clips of the retain set whose captions share
    the concept's words or letters; they count in both sets. `sensors` (empty: all) and `limit`, evenly spaced, restrict
    the sets; `moved` are ids of forget clips that move to the retain set (`clips_without_concept`). For `rule` see
    `unlearning.base.unlearn`.

    Raises ConfigError for an unknown rule, a set without any prompt, or features that no evaluator here reads.
    """
    if store.representation.name != "humanml3d":
        found = store.representation.name
        raise ConfigError(f"evaluators and classifiers here read HumanML3D's features; {store.folder} has {found}'s")
    clips = store.select(split=split, sensor=list(sensors)) if sensors else store.select(split=split)
    parts = split_store(store, concept, actual_rule(store, concept, rule, clips), clips)
    if moved:
        kept = tuple(name for name in parts.forget if name not in set(moved))
        parts = replace(parts, forget=kept, retain=(*parts.retain, *(n for n in parts.forget if n not in set(kept))))
    made = [_prompt_set(store, "forget", parts.forget, concept, limit)]
    made.append(_prompt_set(store, "retain", parts.retain, None, limit))
    fields = ("texts", "tokens", "frames", "real", "ids")
    both = {field: getattr(made[0], field) + getattr(made[1], field) for field in fields}
    made.append(PromptSet("all", **both, parts=tuple(made)))
    for some in made:
        if not len(some):
            raise ConfigError(f"no {some.name} clip with a caption in the {split} split of {store.folder}")
    alike = _prompt_set(store, "lookalike", parts.lookalikes, None, limit)
    return [*made, alike] if len(alike) else made


def built_in_sets(concept: Concept, limit: int | None = None) -> list[PromptSet]:
    """Built-in prompts for violence, at most 48 in a set, 6 seconds each. Raises ConfigError for another concept."""
    if concept.name != VIOLENCE.name:
        raise ConfigError(f"no built-in prompts for {concept.name!r}; pass data=, a data set made by exuvia prepare")
    sentences = read_toml(Path(__file__).with_name("built_in.toml"))
    made = []
    for name in ("forget", "retain"):
        texts = tuple(f"{who} {action}" for action in sentences[name] for who in sentences["actors"])[:limit]
        made.append(PromptSet(name, texts, (None,) * len(texts), (120,) * len(texts)))
    return made


def _prompt_set(store: Store, name: str, ids: Sequence[str], concept: Concept | None, limit: int | None) -> PromptSet:
    rows = []
    for clip_id in ids:
        number = store.index_of[clip_id]
        found = _caption(store.clips[number], concept, store.keywords)
        if found is not None:
            caption, start, frames = found
            rows.append((caption, frames, np.asarray(store.features(number)[start : start + frames]), clip_id))
    if limit is not None and len(rows) > limit:
        rows = [rows[i] for i in np.linspace(0, len(rows) - 1, limit).round().astype(int)]
    captions, frames_of, real, names = zip(*rows, strict=True) if rows else ((), (), (), ())
    texts, tokens = tuple(c.text for c in captions), tuple(c.tokens for c in captions)
    return PromptSet(name, texts, tokens, frames_of, real, names)


def _caption(clip: ClipRecord, concept: Concept | None, keywords: str) -> tuple[Caption, int, int] | None:
    """One caption with its first row and number of rows, or None if no caption has a suitable length."""
    able = []
    for caption in clip.captions:
        start, end = 0, clip.rows
        if not caption.is_whole:
            start, end = int(caption.start_s * clip.fps), min(clip.rows, int(caption.end_s * clip.fps))
        frames = min(end - start, LONGEST) // UNIT * UNIT
        if frames >= SHORTEST:
            able.append((caption, start, frames))
    if concept is not None:
        able = [row for row in able if caption_verdict(row[0], concept, dataset=keywords) == "yes"] or able
    if not able:
        return None
    return able[int(hashlib.sha256(clip.id.encode()).hexdigest(), 16) % len(able)]


class Generations:
    """Motions of one generator, generated once for every prompt, seed and setting, and cached in a folder.

    Codes are cached separately: generators that differ only in codebook and decoder, such as those that LCR edits,
    share them, and decoding takes a thirtieth of the time.
    """

    def __init__(
        self, pipe: MotionPipeline, folder: str | Path | None = None, batch_size: int = 32, **sampling: Any
    ) -> None:
        """Choose the generator, the folder of the cache, if any, and settings of `GenerationConfig` to change."""
        self.pipe, self.batch_size, self.sampling = pipe, batch_size, sampling
        self.made: dict[tuple[PromptSet, int], list[Features]] = {}
        self.folder = None if folder is None else Path(folder) / pipeline_hash(pipe)[:24]
        self.codes = None if folder is None else Path(folder) / "codes" / codes_hash(pipe)[:24]

    def motions(self, prompts: PromptSet, seed: int, progress: Callable[[int], None] | None = None) -> list[Features]:
        """Un-normalised features [frames, C] of every prompt of a set.

        Equal prompts get different motions: prompt i of repeat `seed` has the seed 100003 · seed + i. Seeds are
        the same for all generators, which allows paired comparisons.
        """
        if prompts.parts:
            return [clip for part in prompts.parts for clip in self.motions(part, seed, progress)]
        if (prompts, seed) in self.made:
            return self.made[prompts, seed]
        made: list[Features] = []
        for low in range(0, len(prompts), CHUNK):
            rows = range(low, min(len(prompts), low + CHUNK))
            made += self._chunk(prompts, rows, seed)
            if progress is not None:
                progress(len(rows))
        self.made[prompts, seed] = made
        return made

    def _chunk(self, prompts: PromptSet, rows: range, seed: int) -> list[Features]:
        texts, frames = [prompts.texts[i] for i in rows], [prompts.frames[i] for i in rows]
        seeds = [100_003 * seed + i for i in rows]
        settings = to_dict(self.pipe.generation) | self.sampling
        facts = [texts, frames, seeds, repr(sorted(settings.items()))]
        kept = recall_arrays(self.folder, "motions", facts)
        if kept is None:
            codes, lengths = self._codes(texts, frames, seeds, facts)
            clips = self.pipe.decode(codes, lengths, smoothing=settings["smoothing"], seeds=seeds)
            sizes = np.asarray([len(clip) for clip in clips])
            made = {"features": np.concatenate(clips).astype(np.float32), "sizes": sizes}
            kept = keep_arrays(self.folder, "motions", facts, made)
        return np.split(kept["features"], np.cumsum(kept["sizes"])[:-1])

    def _codes(
        self, texts: Sequence[str], frames: Sequence[int], seeds: Sequence[int], facts: list[Any]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes [B, T, Q] and lengths [B] of one chunk, from the cache if possible."""
        kept = recall_arrays(self.codes, "codes", facts)
        if kept is None:
            codes, lengths, _ = self.pipe.generate_codes(
                texts, seed=seeds, frames=frames, batch_size=self.batch_size, **self.sampling
            )
            made = {"codes": codes.cpu().numpy().astype(np.int16), "lengths": lengths.cpu().numpy()}
            kept = keep_arrays(self.codes, "codes", facts, made)
        return torch.from_numpy(kept["codes"].astype(np.int64)), torch.from_numpy(kept["lengths"].astype(np.int64))
