"""Guarded readers for external files: JSON, TOML, arrays, archives of arrays and safetensors.

A damaged file, or one whose header claims more than the file holds, raises a DataError of one sentence, whatever the
underlying library raises. Sizes are checked before memory is allocated. The readers for PyTorch are in checkpoint.py;
`house.wrong_readers` finds calls of these libraries elsewhere. NumPy and pydantic are imported only where needed,
because this module also reads the list of commands.
"""

from __future__ import annotations

import json
import math
import tomllib
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from exuvia.errors import DataError, ExuviaError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydantic import TypeAdapter

T = TypeVar("T")
MAX_UNPACKED_BYTES = 4 << 30
"""Maximum unpacked size of one array of an archive."""
MAX_DEFLATION = 1040
"""One byte of a deflate stream unpacks to at most 1,032 bytes (zlib, "Technical details")."""
_MAGIC = b"\x93NUMPY"


@contextmanager
def guarded(name: object, form: str, kind: type[ExuviaError] = DataError) -> Iterator[None]:
    """Turn any error that a library raises in the block into one sentence: "NAME is not a readable FORM (reason)"."""
    try:
        yield
    except ExuviaError:
        raise
    except FileNotFoundError:
        raise kind(f"{name} does not exist; expected one {form} there") from None
    except Exception as error:  # libraries' errors for damaged files have no common class
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise kind(f"there is not enough memory to read {name}; free some, or take a smaller one") from None
        reason = " ".join((str(error) or type(error).__name__)[:160].split())
        raise kind(f"{name} is not a readable {form} ({reason}); fetch or write it again") from None


def parse_json(text: str | bytes, name: object, error: type[ExuviaError] = DataError) -> Any:
    """Parse a JSON text. Raises DataError if it is invalid, or contains text that cannot be written as UTF-8."""
    with guarded(name, "JSON text", error):
        value = json.loads(text)
        if (b"\\ud" if isinstance(text, bytes) else "\\ud") in text.lower():  # type: ignore[operator]
            json.dumps(value, ensure_ascii=False).encode()  # fails for an unpaired surrogate
        return value


def read_json(path: str | Path, error: type[ExuviaError] = DataError) -> Any:
    """Read a JSON file. Raises DataError (or `error`) if it is missing or not JSON."""
    return parse_json(read_utf8(path, "JSON file", error), path, error)


def read_utf8(path: str | Path, form: str, error: type[ExuviaError] = DataError) -> str:
    """Read a text file; `form` is its name in messages. Raises DataError (or `error`)."""
    with guarded(path, form, error):
        return Path(path).read_text(encoding="utf-8")


def read_lines(path: str | Path) -> list[str]:
    """Read the non-empty lines of a file with one JSON text per line. Raises DataError."""
    return [line for line in read_utf8(path, "file of JSON lines").split("\n") if line.strip()]


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file. Raises DataError if it is missing or not TOML."""
    text = read_utf8(path, "TOML file")
    with guarded(path, "TOML file"):
        return tomllib.loads(text)


def read_table(reader: str, file: str, kind: type[T]) -> dict[str, T]:
    """Read the rows of a .toml data file in the folder of `reader`, a module's `__file__`, by name and in the file's
    order; `kind` is a dataclass with a field `name`, whose other fields are the row's keys."""
    rows: dict[str, dict[str, Any]] = read_toml(Path(reader).with_name(file))
    adapter = _adapter(kind)  # type: ignore[arg-type]
    return {name: adapter.validate_python({"name": name, **row}) for name, row in rows.items()}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def parse_as(kind: type[T], text: str | bytes, name: object, error: type[ExuviaError] = DataError) -> T:
    """Parse a JSON text as a dataclass, typed dictionary or plain type, and check all types.
    Raises DataError (or `error`) with the position of a missing or wrong value."""
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_json(text, strict=True)  # type: ignore[arg-type]
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise error(f"{name} is damaged: {place + ': ' if place else ''}{first['msg']}") from None


def as_type(kind: type[T], value: Any, name: object, error: type[ExuviaError] = DataError) -> T:
    """Convert a value read from JSON as `parse_as` does. Raises DataError (or `error`)."""
    with guarded(name, "JSON text", error):
        text = json.dumps(value)
    return parse_as(kind, text, name, error)


def read_npy(
    file: str | Path | IO[bytes], name: object = None, *, mapped: bool = False, rows: int | None = None
) -> NDArray[Any]:
    """Read the array of a .npy file: a path, or a stream that can seek, called `name` in messages.
    `mapped` maps values of a path into memory instead of reading them; `rows` limits the first axis.
    Raises DataError if the file is damaged, holds Python objects or records, or is larger."""
    import numpy as np

    name = file if name is None else name
    with guarded(name, "array file"):
        with open(file, "rb") if isinstance(file, str | Path) else nullcontext(file) as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            start = stream.read(6)
            if start[:4] == b"PK\x03\x04":
                raise DataError(f"{name} is a zip archive, expected one array; name the file .npz")
            if start and start != _MAGIC:
                raise DataError(f"found a file that begins with {start!r}, which is no .npy; write it with numpy.save")
            stream.seek(0)
            _check_header(stream, size, rows, name)
            if not mapped:
                stream.seek(0)
                return _text(np.lib.format.read_array(stream, allow_pickle=False), name)
        return np.load(file, mmap_mode="r", allow_pickle=False)


def _check_header(stream: IO[bytes], size: int, rows: int | None, name: object) -> None:
    """Raise unless the header of a .npy stream describes plain values that the `size` bytes of the stream can hold."""
    from numpy.lib import format as npy

    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise DataError(f"{name} is of version {version} of the .npy format, expected 1.0 or 2.0")
    shape, _, kind = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(stream)
    if kind.hasobject:
        raise DataError(f"{name} holds pickled Python objects, which are never unpickled; save the array with np.save")
    claimed, held = math.prod(shape) * max(kind.itemsize, 1), size - stream.tell()
    if kind.names or kind.subdtype or min(shape, default=0) < 0 or claimed > held:
        raise DataError(
            f"{name} has a header of {kind} {shape}, which is {claimed} bytes, and {held} bytes of values; "
            "fetch or write it again"
        )
    if rows is not None and shape and shape[0] > rows:
        raise DataError(f"{name} has {shape[0]} rows, expected at most {rows}; cut it into parts")


def npz_names(path: str | Path) -> set[str]:
    """Names of the arrays in an .npz archive. Raises DataError."""
    with guarded(path, "archive of arrays"), zipfile.ZipFile(path) as archive:
        return {entry.filename.removesuffix(".npy") for entry in archive.infolist()}


def read_npz(
    path: str | Path,
    names: Collection[str] = (),
    *,
    optional: Collection[str] = (),
    name: object = None,
    rows: int | None = None,
) -> dict[str, NDArray[Any]]:
    """Read required arrays, and `optional` ones that exist, of an .npz archive (`name` in messages); others are not
    unpacked. Raises DataError if it is damaged, lacks an array, or a member is not an array, holds Python objects, or
    is longer than `rows`."""
    name = path if name is None else name
    arrays: dict[str, NDArray[Any]] = {}
    with guarded(name, "archive of arrays"):
        with open(path, "rb") as stream:
            if stream.read(len(_MAGIC)) == _MAGIC:
                raise DataError(f"{name} is a single array, expected an .npz archive; name the file .npy")
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                key = entry.filename.removesuffix(".npy")
                if key in names or key in optional:
                    arrays[key] = _member(archive, entry, rows)
    if missing := [key for key in names if key not in arrays]:
        raise DataError(f"{name} has no array {missing[0]!r}; fetch or write it again")
    return arrays


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, rows: int | None) -> NDArray[Any]:
    from numpy.lib.format import read_array

    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError(
            f"found {entry.filename} packed by a method that np.savez does not use; write the archive again"
        )
    if entry.file_size > min(MAX_UNPACKED_BYTES, MAX_DEFLATION * (entry.compress_size + 1)):
        raise DataError(f"found {entry.filename} of {entry.file_size} bytes unpacked, more than it can hold")
    with archive.open(entry) as stream:
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise DataError(f"found {entry.filename}, which is no array; expected members made by np.savez")
    with archive.open(entry) as stream:
        _check_header(stream, entry.file_size, rows, entry.filename)
    with archive.open(entry) as stream:
        return _text(read_array(stream, allow_pickle=False), entry.filename)


def _text(array: NDArray[Any], name: object) -> NDArray[Any]:
    """The array, whose texts consist of characters that exist. Raises DataError."""
    import numpy as np

    if array.dtype.kind == "U" and np.any(array.reshape(-1).view(array.dtype.byteorder + "u4") > 0x10FFFF):
        raise DataError(f"found text in {name} with characters that do not exist; fetch or write it again")
    return array


def read_safetensors(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Read the arrays of a safetensors file by name, and its metadata. Raises DataError."""
    from safetensors import safe_open

    with guarded(path, "safetensors file"), safe_open(path, "numpy") as stream:
        return {key: stream.get_tensor(key) for key in stream.keys()}, stream.metadata() or {}
