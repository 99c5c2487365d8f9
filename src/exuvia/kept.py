"""Results kept on disk: each beside the hash of all that decides it, written whole, read again only where it fits."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from exuvia.errors import DataError
from exuvia.files import read_json, whole_file, write_json

log = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]


def stable_hash(facts: Any) -> str:
    """Hex SHA-256 of a JSON-ready value, equal on every machine; the order of a dictionary's keys does not count."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def kept_arrays(
    folder: Path | None, name: str, facts: Any, make: Callable[[], Arrays], fits: Callable[[Arrays], bool]
) -> Arrays:
    """Arrays that `make` gives, from `folder/NAME-HASH.safetensors` where an earlier call left them.

    Args:
        folder: where they are kept; None: nowhere
        name: first part of the file's name
        facts: JSON-ready; everything that decides the arrays
        make: called where nothing is kept, or where the file is damaged (which is logged)
        fits: whether names, shapes and types are those expected; a missing name may raise KeyError
    Raises:
        OutputError: the folder cannot be written.
    """
    if folder is None:
        return make()
    key = stable_hash(facts)
    path = folder / f"{name}-{key[:24]}.safetensors"
    if path.exists():
        try:
            return _read_arrays(path, key, fits)
        except DataError as error:
            log.warning("%s; made again", error)
    arrays = make()
    with whole_file(path) as temporary:
        # safetensors writes memory as it lies, so that rows must lie in C order
        plain = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
        save_file(plain, temporary, metadata={"key": key})
    return arrays


def _read_arrays(path: Path, key: str, fits: Callable[[Arrays], bool]) -> Arrays:
    try:
        with safe_open(path, "numpy") as stream:
            kept = (stream.metadata() or {}).get("key")
            arrays = {name: stream.get_tensor(name) for name in stream.keys()}
        if kept == key and fits(arrays):
            return arrays
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error})") from None
    raise DataError(f"{path} does not hold what its name says")


def kept_json(path: Path, facts: Any, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` gives, from a JSON file where an earlier call with the same facts left it. Raises OutputError."""
    value = recall_json(path, facts)
    if value is None:
        value = make()
        keep_json(path, facts, value)
    return value


def keep_json(path: Path, facts: Any, value: Mapping[str, Any]) -> None:
    """Write a JSON-ready dictionary beside the hash of the facts that decide it. Raises OutputError."""
    write_json(path, {"key": stable_hash(facts), **value})


def recall_json(path: Path, facts: Any) -> dict[str, Any] | None:
    """What `keep_json` wrote for the same facts; None where there is nothing, or something else, or a damaged file."""
    if not path.exists():
        return None
    try:
        value = read_json(path)
    except DataError as error:
        log.warning("%s; made again", error)
        return None
    same = isinstance(value, dict) and value.pop("key", None) == stable_hash(facts)
    return value if same else None
