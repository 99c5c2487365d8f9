"""Reading the published word lists, which are pickles, with an unpickler for lists, dictionaries, text and numbers.

Anything else in a file is refused before it is built, so no code in a file is executed.
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

from exuvia.errors import DataError
from exuvia.readers import guarded

MAX_BYTES = 64_000_000
"""Largest list that is read; the published ones have less than a megabyte."""
ALLOWED = frozenset(
    "PROTO FRAME STOP MARK POP POP_MARK DUP EMPTY_LIST APPEND APPENDS LIST EMPTY_DICT SETITEM SETITEMS DICT "
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 "
    "FLOAT BINFLOAT STRING SHORT_BINSTRING BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 "
    "BINBYTES SHORT_BINBYTES BINBYTES8 PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET".split()
)
"""Pickle instructions that build plain values. None of them can name a class or function (Lib/pickletools.py)."""


class _Plain(pickle.Unpickler):
    """Unpickler that resolves no names, since plain values need none."""

    def find_class(self, module: str, name: str) -> Any:
        """Raise DataError for every name."""
        raise DataError(f"found {module}.{name} in a list of words, expected plain text only; the file is not read")


def read_words(words: Path, index: Path | None = None) -> list[str]:
    """Words of a pickled list in the order of the vectors' rows, which a pickled index may give. Raises DataError."""
    listed = _load(words)
    if not isinstance(listed, list | tuple) or not all(isinstance(word, str) for word in listed):
        raise DataError(f"{words} holds a {type(listed).__name__}, expected a list of words")
    if index is None or not index.is_file():
        return list(listed)
    rows = _load(index)
    if not isinstance(rows, dict) or not all(isinstance(word, str) for word in rows) or sorted(rows) != sorted(listed):
        raise DataError(f"{index} does not hold the words of {words}")
    if not all(isinstance(row, int) for row in rows.values()) or sorted(rows.values()) != list(range(len(rows))):
        raise DataError(f"{index} does not number the words from 0 without gaps or repetitions")
    return sorted(rows, key=lambda word: rows[word])


def _load(path: Path) -> Any:
    with guarded(path, "list of words"):
        if (size := path.stat().st_size) > MAX_BYTES:
            raise DataError(f"{path} has {size} bytes, expected at most {MAX_BYTES} in a list of words")
        content = path.read_bytes()
        for code, argument, place in pickletools.genops(content):
            if code.name not in ALLOWED:
                raise DataError(
                    f"{path} has {code.name} at byte {place}, expected plain text only; the file is not read"
                )
            if code.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > len(content):
                raise DataError(f"{path} is damaged: it counts {argument} values")
        return _Plain(io.BytesIO(content)).load()
