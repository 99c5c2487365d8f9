"""Writing a store: shards of finished clips in a work folder, then all of them as columns, put in place by one rename.

A shard is one .npz file, written whole. A run that is killed leaves its finished shards behind; the next run with the
same source and settings goes on after them, and the store it writes is the same to the byte.
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
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from exuvia.data.record import ClipRecord
from exuvia.data.store import FORMAT, VERSION
from exuvia.errors import DataError
from exuvia.files import as_output_error, sha256_file, whole_file, write_json
from exuvia.readers import parse_as, read_npz
from exuvia.shapes import Features, Joints


@dataclass(frozen=True)
class ReadyClip:
    """A clip as it goes into the store."""

    record: ClipRecord
    joints: Joints
    """[F, J, 3]"""
    features: Features
    """[rows, C]"""
    frame_labels: NDArray[np.int16] | None = None
    """[F], or None"""


@dataclass(frozen=True)
class Skipped:
    """A clip that did not go into the store, and why."""

    id: str
    reason: str


class DamagedShard(DataError):
    """A file of unfinished work that cannot be read; it is removed, and the next run makes it again."""


class _Index(TypedDict):
    """What a shard says of its clips."""

    clips: list[str]
    skipped: list[tuple[str, str]]


def write_shard(path: Path, clips: Sequence[ReadyClip], skipped: Sequence[Skipped]) -> None:
    """Write some clips as one .npz file, whole. Raises OutputError."""
    arrays: dict[str, NDArray[Any]] = {}
    if clips:
        arrays["joints"] = np.concatenate([clip.joints for clip in clips])
        arrays["features"] = np.concatenate([clip.features for clip in clips])
        if any(clip.frame_labels is not None for clip in clips):
            arrays["frame_labels"] = np.concatenate([_labels(clip) for clip in clips])
    said = [[clip.id, clip.reason] for clip in skipped]
    index = {"clips": [clip.record.to_json() for clip in clips], "skipped": said}
    arrays["index"] = np.frombuffer(json.dumps(index).encode(), np.uint8)
    with whole_file(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def _labels(clip: ReadyClip) -> NDArray[np.int16]:
    if clip.frame_labels is None:
        return np.full(clip.record.frames, -1, np.int16)
    return clip.frame_labels.astype(np.int16)


def is_whole(path: Path) -> bool:
    """True if a shard is there and can be opened."""
    return path.is_file() and zipfile.is_zipfile(path)


@dataclass
class _Column:
    """A .npy file that is written from front to back."""

    stream: BinaryIO
    dtype: str
    inner: tuple[int, ...]
    length: int = 0

    def append(self, values: NDArray[Any]) -> None:
        self.stream.write(np.ascontiguousarray(values, self.dtype).data)
        self.length += len(values)


def _open_column(files: ExitStack, path: Path, dtype: str, inner: tuple[int, ...], length: int) -> _Column:
    stream = files.enter_context(open(path, "wb"))
    header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
    np.lib.format.write_array_header_1_0(stream, {**header, "shape": (length, *inner)})
    return _Column(stream, dtype, inner)


def assemble(shards: Sequence[Path], target: Path, work: Path, joints: int, dim: int, about: dict[str, Any]) -> None:
    """Join shards into a store and rename it to `target`, which must not exist.

    Args:
        shards: shard files in order.
        work: folder on the same file system, for the unfinished store.
        joints: J of the joints column.
        dim: C of the features column.
        about: what else the manifest says (representation, settings, source, ...).
    Raises:
        DataError: a shard is damaged (it is removed, so that the next run makes it again), or no clip is left.
        OutputError: the store cannot be written.
    """
    folder = work / "store"
    with as_output_error(target), ExitStack() as files:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        totals = _totals(shards)
        if not totals["clips"]:
            reason = totals["reason"] or "the source is empty"
            raise DataError(f"none of the clips could be used; the first reason: {reason}")
        frames = totals["frames"]
        kinds: dict[str, tuple[str, tuple[int, ...], int]]
        kinds = {"joints": ("float32", (joints, 3), frames), "features": ("float32", (dim,), totals["rows"])}
        if totals["labelled"]:
            kinds["frame_labels"] = ("int16", (), frames)
        columns = {name: _open_column(files, folder / f"{name}.npy", *kind) for name, kind in kinds.items()}
        counts, skipped = _fill(shards, columns, folder / "clips.jsonl")
        for column in columns.values():
            column.stream.flush()
            os.fsync(column.stream.fileno())
            column.stream.close()
        facts = {
            name: {**_facts(folder / f"{name}.npy"), "dtype": c.dtype, "shape": [c.length, *c.inner]}
            for name, c in columns.items()
        }
        manifest = {"format": FORMAT, "version": VERSION, "clips": totals["clips"], **about, **counts}
        manifest |= {"skipped": skipped, "columns": facts, "index": _facts(folder / "clips.jsonl")}
        write_json(folder / "manifest.json", manifest)
        os.replace(folder, target)
        _sync_folder(target.parent)


def _totals(shards: Sequence[Path]) -> dict[str, Any]:
    totals: dict[str, Any] = {"clips": 0, "frames": 0, "rows": 0, "labelled": False, "reason": ""}
    for _, index in _shards(shards):
        for line in index["clips"]:
            record = ClipRecord.from_json(line)
            totals["clips"] += 1
            totals["frames"] += record.frames
            totals["rows"] += record.rows
            totals["labelled"] |= record.has_frame_labels
        if index["skipped"] and not totals["reason"]:
            totals["reason"] = index["skipped"][0][1]
    return totals


def _fill(shards: Sequence[Path], columns: dict[str, _Column], index_path: Path) -> tuple[dict[str, Any], list[Any]]:
    """Append every shard to the columns and the index. Returns counts by kind, and the skipped clips."""
    skipped: list[dict[str, str]] = []
    counters = {name: Counter[str]() for name in ("split", "source", "licence", "sensor")}
    with open(index_path, "w", encoding="utf-8") as lines:
        for arrays, index in _shards(shards, ("joints", "features", "frame_labels")):
            frame, row = columns["joints"].length, columns["features"].length
            for line in index["clips"]:
                record = replace(ClipRecord.from_json(line), frame_start=frame, row_start=row)
                frame, row = frame + record.frames, row + record.rows
                lines.write(record.to_json() + "\n")
                for name, counter in counters.items():
                    counter[getattr(record, name)] += 1
            for name, column in columns.items():
                if name in arrays:
                    column.append(arrays[name])
                elif name == "frame_labels" and index["clips"]:
                    column.append(np.full(frame - column.length, -1, np.int16))
            skipped += [{"id": name, "reason": reason} for name, reason in index["skipped"]]
        lines.flush()
        os.fsync(lines.fileno())
    return {f"by_{name}": dict(sorted(counter.items())) for name, counter in counters.items()}, skipped


def _shards(paths: Sequence[Path], names: Sequence[str] = ()) -> Iterator[tuple[dict[str, NDArray[Any]], _Index]]:
    """The named arrays and the index of every shard."""
    for path in paths:
        try:
            arrays = read_npz(path, ("index",), optional=names)
            index = parse_as(_Index, arrays.pop("index").tobytes(), path)
        except DataError as error:
            path.unlink(missing_ok=True)
            raise DamagedShard(f"{path} was damaged ({error}) and is removed; run the same command again") from None
        yield arrays, index


def _facts(path: Path) -> dict[str, Any]:
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256_file(path)}


def _sync_folder(folder: Path) -> None:
    """Make the rename last through a power cut, where the system lets folders be synchronised."""
    with suppress(OSError, AttributeError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
