"""Hashes that identify a generator: over everything that determines its output.

Older files hold such hashes (the parents of edits, patches of `exuvia undo`, folders of cached motions), so their input
must not change. Only generators whose detours have their own weights have another hash than in version 0.1, because
those weights were renamed.
"""

import hashlib

from exuvia.checkpoint import hash_tensors
from exuvia.pipeline.parts import PARTS
from exuvia.pipeline.pipeline import MotionPipeline


def pipeline_hash(pipe: MotionPipeline) -> str:
    """SHA-256 of everything that determines the motions of a generator: weights, scale, caption encoder, settings."""
    parts = [*_weights(pipe, PARTS), *_detours(pipe), *(repr(one) for one in pipe.noise)]
    facts = [*parts, pipe.normaliser.mean.tobytes(), pipe.normaliser.std.tobytes(), sorted(pipe.config.items())]
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def codes_hash(pipe: MotionPipeline) -> str:
    """SHA-256 of what determines the codes of a prompt: all but codebook, decoder, scale and noise."""
    parts = [*_weights(pipe, ("base", "residual", "length")), *_detours(pipe)]
    return hashlib.sha256(repr([*parts, sorted(pipe.config.items())]).encode()).hexdigest()


def _weights(pipe: MotionPipeline, parts: tuple[str, ...]) -> list[str]:
    return [hash_tensors(getattr(pipe, part).state_dict()) for part in parts]


def _detours(pipe: MotionPipeline) -> list[str]:
    return [hash_tensors(way.tensors()) + repr(sorted(way.describe().items())) for way in pipe.detours]
