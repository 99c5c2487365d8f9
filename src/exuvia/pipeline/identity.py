"""Hashes that identify a generator by everything that determines its output.

Files store these hashes (parents of edits, records of `exuvia undo`, folders of cached motions): their input must not
change.
"""

import hashlib

from exuvia.checkpoint import hash_tensors
from exuvia.pipeline.parts import PARTS
from exuvia.pipeline.pipeline import MotionPipeline


def pipeline_hash(pipe: MotionPipeline) -> str:
    """SHA-256 of everything that determines a generator's motions: weights, scale, caption encoder, settings."""
    parts = [*_weights(pipe, PARTS), *_guards(pipe), *map(repr, pipe.codebook_noise)]
    facts = [*parts, pipe.normaliser.mean.tobytes(), pipe.normaliser.std.tobytes(), sorted(pipe.config.items())]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def codes_hash(pipe: MotionPipeline) -> str:
    """SHA-256 of everything that determines the codes of a prompt: not codebook, decoder, scale and noise."""
    parts = [*_weights(pipe, ("base", "residual", "length")), *_guards(pipe)]
    return hashlib.sha256(repr([*parts, sorted(pipe.config.items())]).encode()).hexdigest()


def _weights(pipe: MotionPipeline, parts: tuple[str, ...]) -> list[str]:
    return [hash_tensors(getattr(pipe, part).state_dict()) for part in parts]


def _guards(pipe: MotionPipeline) -> list[str]:
    return [hash_tensors(guard.tensors()) + repr(sorted(guard.describe().items())) for guard in pipe.guards]
