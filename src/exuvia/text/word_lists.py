"""The published word lists, which are pickles: read by an unpickler that builds lists, dictionaries, text and numbers.

Whatever else a file asks for is refused before it is made, so that nothing in it is executed.
"""

import io
import pickle
from pathlib import Path
from typing import Any

from exuvia.errors import DataError

MAX_BYTES = 64_000_000
"""The published lists have less than a megabyte."""


class _Plain(pickle.Unpickler):
    """Knows no name at all: plain values need none."""

    def find_class(self, module: str, name: str) -> Any:
        """Raise DataError, whatever the name."""
        raise DataError(f"found {module}.{name} in a list of words, which holds plain text only; it is not read")

    def persistent_load(self, pid: Any) -> Any:
        """Raise DataError: nothing lies elsewhere."""
        raise DataError("found a reference to something outside a list of words; it is not read")


def read_words(words: Path, index: Path | None = None) -> list[str]:
    """The words in the order of the vectors' rows.

    Args:
        words: a pickled list of text
        index: a pickled dictionary word -> row, if there is one
    Raises:
        DataError: a file is missing, damaged, too large, or holds anything but plain values.
    """
    listed = _load(words)
    if not isinstance(listed, list | tuple) or not all(isinstance(word, str) for word in listed):
        raise DataError(f"{words} holds a {type(listed).__name__}, expected a list of words")
    if index is None or not index.is_file():
        return list(listed)
    rows = _load(index)
    if not isinstance(rows, dict) or sorted(map(str, rows)) != sorted(listed):
        raise DataError(f"{index} does not name the words of {words}")
    if sorted(rows.values()) != list(range(len(rows))):
        raise DataError(f"{index} does not give every word a row of its own from 0 on")
    return sorted(rows, key=lambda word: rows[word])


def _load(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} has {path.stat().st_size} bytes, expected at most {MAX_BYTES} in a list of words")
        return _Plain(io.BytesIO(path.read_bytes())).load()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # a damaged pickle raises whatever its instructions lead to
        raise DataError(f"{path} is no readable list of words ({type(error).__name__})") from None
