"""Undoes an edit, bit for bit, from a record that is stored separately from the edited generator.

A record holds the parent's values of all tensors that the edit changed, and the parent's number of guards. It restores
the concept: do not distribute it with the weights.
"""

import re
from pathlib import Path

import torch
from torch import Tensor

from exuvia.checkpoint import load_metadata, load_tensors, part_of, save_tensors
from exuvia.errors import CheckpointError, ConfigError
from exuvia.pipeline.identity import pipeline_hash
from exuvia.pipeline.parts import PARTS, renamed
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.unlearning.base import EDIT_HEAD


def save_undo(path: str | Path, original: MotionPipeline, edited: MotionPipeline) -> Path:
    """Write a record that restores the original generator, as a safetensors file.
    Raises ConfigError if `edited` was not made from `original`, OutputError if the file cannot be written."""
    before = len(original.provenance.get("edits", []))
    edits, parent = edited.provenance.get("edits", []), pipeline_hash(original)
    if len(edits) <= before or edits[before]["parent"] != parent:
        raise ConfigError("the edited generator was not made from this one; give the one before the edit")
    tensors: dict[str, Tensor] = {}
    for part in PARTS:
        old, new = getattr(original, part).state_dict(), getattr(edited, part).state_dict()
        if {k: v.shape for k, v in old.items()} != {k: v.shape for k, v in new.items()}:
            raise ConfigError(f"the {part} has other sizes after the edit, and weights alone cannot undo it")
        tensors |= {f"{part}.{k}": v for k, v in old.items() if not torch.equal(v, new[k])}
    facts = {"parent": parent, "edited": pipeline_hash(edited), "edits": str(before)}
    facts |= {"guards": str(len(original.guards)), "codebook_noise": str(len(original.codebook_noise))}
    save_tensors(path, tensors, facts)
    return Path(path)


def undo(pipe: MotionPipeline, path: str | Path) -> MotionPipeline:
    """Return a copy of an edited generator in its state before the edits of a record.
    Raises CheckpointError for no record, or one of another generator's edits."""
    tensors, facts = renamed(load_tensors(path)), load_metadata(path)
    if facts.get("edited") != pipeline_hash(pipe):
        raise CheckpointError(f"{path} belongs to another edit than that of this generator")
    counts = {key: facts.get(key, "") for key in ("guards", "codebook_noise", "edits")}
    if not all(re.fullmatch("[0-9]{1,6}", count) for count in counts.values()):
        raise CheckpointError(f"{path} is damaged: it does not say how many edits, guards and noises there were")
    restored = pipe.clone()
    for part in PARTS:
        module = getattr(restored, part)
        module.load_state_dict(module.state_dict() | part_of(tensors, part))
    restored.guards = restored.guards[: int(counts["guards"])]
    restored.codebook_noise = restored.codebook_noise[: int(counts["codebook_noise"])]
    restored.provenance["edits"] = restored.provenance["edits"][: int(counts["edits"])]
    restored.card = EDIT_HEAD.join(restored.card.split(EDIT_HEAD)[: int(counts["edits"]) + 1])
    if pipeline_hash(restored) != facts["parent"]:
        raise CheckpointError(f"{path} is damaged: what it restores is not the generator before the edit")
    return restored
