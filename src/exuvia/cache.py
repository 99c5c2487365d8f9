"""A cache on disk: results are stored under a hash of everything that determines them."""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from exuvia.errors import DataError
from exuvia.files import whole_file, write_json
from exuvia.readers import read_json, read_safetensors

log = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]


def stable_hash(facts: Any) -> str:
    """Hex SHA-256 of a JSON-ready value, equal on every machine and for every order of a dictionary's keys."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def recall_arrays(folder: Path | None, name: str, facts: Any) -> Arrays | None:
    """Read the arrays that `keep_arrays` wrote for the same name and JSON-ready facts, which determine them; None if
    there are none, or no folder. A damaged file is logged."""
    if folder is None or not (path := _path(folder, name, facts)).exists():
        return None
    try:
        arrays, about = read_safetensors(path)
    except DataError as error:
        log.warning("%s; computed again", error)
        return None
    if about.get("mark") == _mark(facts, arrays):
        return arrays
    log.warning("%s does not hold what its name says; computed again", path)
    return None


def keep_arrays(folder: Path | None, name: str, facts: Any, arrays: Arrays) -> Arrays:
    """Write arrays to `folder/NAME-HASH.safetensors` with a digest of their values (or OutputError); return them."""
    # safetensors writes raw memory: rows must be in C order
    plain = {key: np.ascontiguousarray(values) for key, values in arrays.items()}
    if folder is not None:
        with whole_file(_path(folder, name, facts)) as temporary:
            save_file(plain, temporary, metadata={"mark": _mark(facts, plain)})
    return plain


def _path(folder: Path, name: str, facts: Any) -> Path:
    return folder / f"{name}-{stable_hash(facts)[:24]}.safetensors"


def _mark(facts: Any, arrays: Arrays) -> str:
    """SHA-256 of the facts and of the arrays' names, types, shapes and values."""
    digest = hashlib.sha256(stable_hash(facts).encode())
    for key in sorted(arrays):
        digest.update(f"{key} {arrays[key].dtype} {arrays[key].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[key]).data)
    return digest.hexdigest()


def keep_json(path: Path, facts: Any, value: Mapping[str, Any]) -> None:
    """Write a JSON-ready dictionary together with the hash of the facts that determine it. Raises OutputError."""
    write_json(path, {"key": stable_hash(facts), **value})


def recall_json(path: Path, facts: Any) -> dict[str, Any] | None:
    """Read what `keep_json` wrote for the same facts; None for a missing or damaged file, or other facts."""
    if not path.exists():
        return None
    try:
        value = read_json(path)
    except DataError as error:
        log.warning("%s; computed again", error)
        return None
    same = isinstance(value, dict) and value.pop("key", None) == stable_hash(facts)
    return value if same else None
