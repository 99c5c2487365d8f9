"""Loads published evaluators: Guo et al.'s text-motion networks with their statistics and word vectors.

    <folder>/text_mot_match/model/finest.tar         keys movement_encoder, text_encoder, motion_encoder
    <folder>/Comp_v6_KLD005/meta/{mean,std}.npy      statistics of their input features
    <glove>/our_vab_{data.npy, words.pkl, idx.pkl}   word vectors, and which row is whose

Sources: momask-codes, models/t2m_eval_wrapper.py and utils/word_vectorizer.py.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from exuvia.checkpoint import built, load_state_dicts, provenance, save_tensors, write_config
from exuvia.config import to_dict
from exuvia.errors import CheckpointError
from exuvia.files import sha256_file, whole_folder, write_json, write_text
from exuvia.judges.guo import CONTACTS, GuoConfig, GuoEvaluator
from exuvia.judges.tasks import GLOVE_FOLDER, EvaluatorTask
from exuvia.published.momask import statistic
from exuvia.shapes import Floats
from exuvia.text.word_vectors import GloVeWords
from exuvia.train import WEIGHTS

PARTS = ("movement_encoder", "motion_encoder", "text_encoder")
MATCHING, STATISTICS = Path("text_mot_match/model/finest.tar"), Path("Comp_v6_KLD005/meta")


@dataclass(frozen=True)
class OfficialEvaluator:
    """The parts of a published evaluator, with loaded weights."""

    model: GuoEvaluator
    words: GloVeWords
    mean: Floats
    """Mean of the features, float32 [C]."""
    std: Floats
    """Divisor of the features, float32 [C]."""
    weights: Path
    """The file of the networks."""


def load_evaluator_folder(folder: str | Path, glove: str | Path) -> OfficialEvaluator:
    """Load a published evaluator, in the folder of one data set (checkpoints/t2m), with its folder of word vectors;
    sizes come from the shapes of its weights. Raises CheckpointError for a file that is missing, corrupt, holds pickled
    objects or is of another architecture, DataError for unreadable word vectors."""
    path = Path(folder) / MATCHING
    parts = read_parts(path)
    mean, std = (statistic(Path(folder) / STATISTICS / f"{kind}.npy") for kind in ("mean", "std"))
    config = _sizes(parts, path)
    if not len(mean) == len(std) == config.dim_pose:
        found = f"{len(mean)} means and {len(std)} deviations in {Path(folder) / STATISTICS}"
        raise CheckpointError(f"found {found}, expected {config.dim_pose} of each for {path}")
    model = built(lambda: GuoEvaluator(config), flat(parts), f"the evaluator of {path}")
    return OfficialEvaluator(model.eval(), GloVeWords(glove), mean, std, path)


def save_evaluator(found: OfficialEvaluator, out: str | Path, *, overwrite: bool = False) -> Path:
    """Write a run folder that every command takes as `--evaluator`; the word vectors go with it.
    Raises OutputError if the folder cannot be written, or holds something else that `overwrite`
    (see `files.check_folder`) does not allow to replace."""
    with whole_folder(out, EvaluatorTask.kind, overwrite=overwrite) as folder:
        about = {"model": to_dict(found.model.config), "mean": found.mean.tolist(), "std": found.std.tolist()}
        about["words"] = {"name": found.words.name, "fingerprint": found.words.fingerprint}
        write_config(folder, EvaluatorTask.kind, about)
        save_tensors(folder / WEIGHTS, found.model.state_dict())
        glove = folder / GLOVE_FOLDER
        glove.mkdir()
        words = sorted(found.words.known)
        np.save(glove / "our_vab_data.npy", np.stack([found.words.known[word] for word in words]))
        write_text(glove / "our_vab_words.txt", "\n".join(words) + "\n")
        write_json(folder / "metrics.json", {})
        write_json(folder / "provenance.json", provenance(published={str(MATCHING): sha256_file(found.weights)}))
    return Path(out)


def read_parts(path: Path) -> dict[str, dict[str, Tensor]]:
    """Weights of the three networks of a `finest.tar`. Raises CheckpointError for another file."""
    stored = load_state_dicts(path)
    if not all(isinstance(stored.get(name), dict) for name in PARTS):
        raise CheckpointError(f"{path} is no evaluator checkpoint; expected {', '.join(PARTS)} in it")
    parts = {name: {str(key): value for key, value in stored[name].items()} for name in PARTS}
    if not all(isinstance(value, Tensor) for part in parts.values() for value in part.values()):
        raise CheckpointError(f"{path} is no evaluator checkpoint; it has entries that are no tensors")
    return {name: {key: value.float() for key, value in part.items()} for name, part in parts.items()}


def flat(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The weights of the three networks by the names of `GuoEvaluator`."""
    return {f"{part}.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}


def _sizes(parts: dict[str, dict[str, Tensor]], path: Path) -> GuoConfig:
    """Sizes, read from the shapes of the weights. Raises CheckpointError where one is missing."""
    movement, motion, text = (parts[name] for name in PARTS)
    try:
        hidden, channels, _ = movement["main.0.weight"].shape
        sizes = {"motion_hidden": motion["hidden"].shape[-1], "text_hidden": text["hidden"].shape[-1]}
        sizes |= {"word_dim": text["input_emb.weight"].shape[1], "pos_dim": text["pos_emb.weight"].shape[1]}
        sizes |= {"movement_dim": movement["out_net.weight"].shape[0], "movement_hidden": hidden}
        return GuoConfig(dim_pose=channels + CONTACTS, embedding=motion["output_net.3.weight"].shape[0], **sizes)
    except (KeyError, ValueError, IndexError) as error:
        reason = json.dumps(str(error))
        raise CheckpointError(f"{path} lacks a tensor of the evaluator, or has one of another form: {reason}") from None
