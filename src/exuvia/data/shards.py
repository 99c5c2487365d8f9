"""Writing a store: shards of finished clips in a work folder, which are then joined to columns and renamed in place.

A shard is one .npz file. A killed run leaves its finished shards behind. The next run with the same source and settings
continues after them, and writes the same bytes as an uninterrupted run.
"""

import json
import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from exuvia.data.store import FORMAT, VERSION, ClipRecord
from exuvia.errors import DataError
from exuvia.files import as_output_error, sha256_file, whole_file, write_json
from exuvia.readers import parse_as, read_npz
from exuvia.shapes import Features, Joints


@dataclass(frozen=True)
class ReadyClip:
    """A clip in the form in which the store holds it."""

    record: ClipRecord
    joints: Joints
    """[F, J, 3]"""
    features: Features
    """[rows, C]"""
    frame_labels: NDArray[np.int16] | None = None
    """[F], or None"""


@dataclass(frozen=True)
class Skipped:
    """A clip that is left out of the store, and the reason."""

    id: str
    reason: str


class DamagedShard(DataError):
    """A shard that cannot be read; it is removed, and the next run writes it again."""


class _Index(TypedDict):
    clips: list[str]
    skipped: list[tuple[str, str]]


def write_shard(path: Path, clips: Sequence[ReadyClip], skipped: Sequence[Skipped]) -> None:
    """Write clips as one .npz file, whole or not at all. Raises OutputError."""
    arrays: dict[str, NDArray[Any]] = {}
    if clips:
        arrays["joints"] = np.concatenate([clip.joints for clip in clips])
        arrays["features"] = np.concatenate([clip.features for clip in clips])
        if any(clip.frame_labels is not None for clip in clips):
            labels = ((np.full(c.record.frames, -1) if c.frame_labels is None else c.frame_labels) for c in clips)
            arrays["frame_labels"] = np.concatenate(list(labels)).astype(np.int16)
    reasons = [[clip.id, clip.reason] for clip in skipped]
    index = {"clips": [clip.record.to_json() for clip in clips], "skipped": reasons}
    arrays["index"] = np.frombuffer(json.dumps(index).encode(), np.uint8)
    with whole_file(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def is_whole(path: Path) -> bool:
    """Whether a shard exists and can be opened."""
    return path.is_file() and zipfile.is_zipfile(path)


class _Column:
    """A .npy file that grows by rows; its header is written again at the end, when their number is known."""

    def __init__(self, files: ExitStack, path: Path, dtype: str, inner: tuple[int, ...]) -> None:
        self.path, self.dtype, self.shape = path, dtype, (0, *inner)
        self.stream = files.enter_context(open(path, "wb"))
        self.write_header()

    def write_header(self) -> None:
        facts = {"descr": np.lib.format.dtype_to_descr(np.dtype(self.dtype)), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self.stream, {**facts, "shape": self.shape})  # leaves room for more digits

    def append(self, values: NDArray[Any]) -> None:
        self.stream.write(np.ascontiguousarray(values, self.dtype).data)
        self.shape = (self.shape[0] + len(values), *self.shape[1:])

    def finish(self) -> dict[str, Any]:
        """Complete the file, and return its facts for the manifest."""
        self.stream.seek(0)
        self.write_header()
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()
        return {**_facts(self.path), "dtype": self.dtype, "shape": list(self.shape)}


def assemble(shards: Sequence[Path], target: Path, work: Path, joints: int, dim: int, about: dict[str, Any]) -> None:
    """Join shards to a store of J = `joints` and C = `dim`, and rename it to `target`, which must not exist.

    The unfinished store is in `work`, on the same file system; `about` has further facts for the manifest. Raises
    DataError if no clip is left, or a shard is damaged; it is then removed, and the next run writes it again. Raises
    OutputError.
    """
    folder = work / "store"
    with as_output_error(target), ExitStack() as files:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        kinds = {"joints": ("float32", (joints, 3)), "features": ("float32", (dim,)), "frame_labels": ("int16", ())}
        columns = {name: _Column(files, folder / f"{name}.npy", *kind) for name, kind in kinds.items()}
        facts = _fill(shards, columns, folder / "clips.jsonl")
        if not facts["clips"]:
            reason = facts["skipped"][0]["reason"] if facts["skipped"] else "the source is empty"
            raise DataError(f"none of the clips could be used; the first reason: {reason}")
        manifest = {"format": FORMAT, "version": VERSION, "clips": facts.pop("clips"), **about, **facts}
        manifest |= {"columns": {name: column.finish() for name, column in columns.items()}}
        write_json(folder / "manifest.json", manifest | {"index": _facts(folder / "clips.jsonl")})
        os.replace(folder, target)
        _sync_folder(target.parent)


def _fill(shards: Sequence[Path], columns: dict[str, _Column], index_path: Path) -> dict[str, Any]:
    """Append all shards to the columns and the index. Returns facts for the manifest: counts and skipped clips.

    The column of frame labels is dropped if no clip has any.
    """
    skipped: list[dict[str, str]] = []
    counters = {name: Counter[str]() for name in ("split", "source", "licence", "sensor")}
    labelled = False
    with open(index_path, "w", encoding="utf-8") as lines:
        for arrays, index in _shards(shards, tuple(columns)):
            frame, row = columns["joints"].shape[0], columns["features"].shape[0]
            for line in index["clips"]:
                record = replace(ClipRecord.from_json(line), frame_start=frame, row_start=row)
                frame, row = frame + record.frames, row + record.rows
                lines.write(record.to_json() + "\n")
                for name, counter in counters.items():
                    counter[getattr(record, name)] += 1
            labelled |= "frame_labels" in arrays
            if index["clips"]:
                arrays.setdefault("frame_labels", np.full(len(arrays["joints"]), -1, np.int16))
            for name, values in arrays.items():
                columns[name].append(values)
            skipped += [{"id": name, "reason": reason} for name, reason in index["skipped"]]
        lines.flush()
        os.fsync(lines.fileno())
    if not labelled:
        unused = columns.pop("frame_labels")
        unused.stream.close()
        unused.path.unlink()
    counts = {f"by_{name}": dict(sorted(counter.items())) for name, counter in counters.items()}
    return {"clips": counters["split"].total(), **counts, "skipped": skipped}


def _shards(paths: Sequence[Path], names: Sequence[str] = ()) -> Iterator[tuple[dict[str, NDArray[Any]], _Index]]:
    """The named arrays and the index of each shard."""
    for path in paths:
        try:
            arrays = read_npz(path, ("index",), optional=names)
            index = parse_as(_Index, arrays.pop("index").tobytes(), path)
        except DataError as error:
            path.unlink(missing_ok=True)
            raise DamagedShard(f"{path} was damaged ({error}) and was removed; run the same command again") from None
        yield arrays, index


def _facts(path: Path) -> dict[str, Any]:
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_file(path)}


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power cut, if the system can synchronise folders."""
    with suppress(OSError, AttributeError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
