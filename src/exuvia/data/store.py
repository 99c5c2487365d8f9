"""`Store`: a prepared data set with memory-mapped columns, an index and checksums, for any number of processes.

joints.npy         [frames, J, 3]  float32   metres (KIT: millimetres)
features.npy       [rows, C]       float32   un-normalised
frame_labels.npy   [frames]        int16     only if the source labels frames; -1 = unlabelled
clips.jsonl        one ClipRecord per line
manifest.json      format version, columns with shape, bytes and SHA-256, settings, source, licences, skipped clips
"""

from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from typing_extensions import TypedDict

from exuvia.cache import stable_hash
from exuvia.data.record import ClipRecord
from exuvia.errors import ConfigError, DataError
from exuvia.features.representation import Representation
from exuvia.files import sha256_file
from exuvia.readers import as_type, read_json, read_lines, read_npy
from exuvia.registry import REPRESENTATION, resolve, suggest
from exuvia.shapes import Features, Joints

FORMAT = "exuvia-store"
VERSION = 1
REMEDY = "prepare the data set again with: exuvia prepare"


class _File(TypedDict):
    file: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    bytes: int
    sha256: str


class _Column(_File):
    dtype: Literal["float32", "int16"]
    shape: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1, max_length=3)]


class _Columns(TypedDict):
    joints: _Column
    features: _Column
    frame_labels: NotRequired[_Column]


class _SourceFacts(TypedDict):
    frame_labels: NotRequired[list[str]]


class _Manifest(TypedDict):
    """Required content of manifest.json."""

    clips: int
    representation: str
    columns: _Columns
    index: _File
    settings: dict[str, Any]
    source: list[_SourceFacts]
    source_stamp: list[dict[str, Any]]
    skipped: list[dict[str, str]]
    by_split: dict[str, int]
    by_licence: dict[str, int]


class Store:
    """A prepared data set. Open it with `Store.open`; arrays are read-only views of the files on disk."""

    def __init__(self, folder: Path, manifest: dict[str, Any], clips: list[ClipRecord]) -> None:
        self.folder = folder
        self.manifest = manifest
        self.clips = clips
        """All records, in the order of the columns."""
        self.columns = {name: _mapped(folder, name, facts) for name, facts in manifest["columns"].items()}
        """Memory-mapped joints, features and, if there are any, frame_labels of all clips."""

    @classmethod
    def open(cls, folder: str | Path, verify: bool = False) -> "Store":
        """Open a folder that `prepare` wrote; `verify` compares all files with their SHA-256. Raises DataError."""
        path = Path(folder)
        if not (path / "manifest.json").is_file():
            raise DataError(f"{path} has no manifest.json, so it is not a prepared data set; {REMEDY} SOURCE {path}")
        manifest = read_json(path / "manifest.json")
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise DataError(f"{path}/manifest.json does not describe a prepared data set; {REMEDY}")
        if manifest.get("version") != VERSION:
            raise DataError(f"{path} has format version {manifest.get('version')}, expected {VERSION}; {REMEDY}")
        as_type(_Manifest, manifest, path / "manifest.json")
        for facts in [*manifest["columns"].values(), manifest["index"]]:
            _check_file(path, facts, verify)
        return cls(path, manifest, _read_index(path, manifest))

    def __len__(self) -> int:
        return len(self.clips)

    def __reduce__(self) -> tuple[Any, ...]:
        return Store.open, (self.folder,)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    @cached_property
    def representation(self) -> Representation:
        """The feature layout of the store."""
        return resolve(REPRESENTATION, self.manifest["representation"], "representation")

    @cached_property
    def keywords(self) -> str:
        """Data set whose keyword lists apply: motionx if a source folder has its name, otherwise humanml3d."""
        names = {"".join(filter(str.isalnum, clip.source.lower())) for clip in self.clips}
        return "motionx" if any("motionx" in name for name in names) else "humanml3d"

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 of the contents of all columns and the index, which training runs record as their data."""
        facts = {name: column["sha256"] for name, column in self.manifest["columns"].items()}
        facts["index"] = self.manifest["index"]["sha256"]
        return stable_hash(facts)

    @cached_property
    def index_of(self) -> dict[str, int]:
        """Clip number by id."""
        return {clip.id: number for number, clip in enumerate(self.clips)}

    def joints(self, number: int) -> Joints:
        """Joints of one clip [F, J, 3], as a read-only view."""
        clip = self.clips[number]
        return self.columns["joints"][clip.frame_start : clip.frame_start + clip.frames]

    def features(self, number: int) -> Features:
        """Un-normalised features of one clip [rows, C], as a read-only view."""
        clip = self.clips[number]
        return self.columns["features"][clip.row_start : clip.row_start + clip.rows]

    def frame_labels(self, number: int) -> NDArray[np.int16] | None:
        """Frame labels of one clip [F], indices into the source's names; None if the clip has no frame labels."""
        clip = self.clips[number]
        if not clip.has_frame_labels:
            return None
        return self.columns["frame_labels"][clip.frame_start : clip.frame_start + clip.frames]

    def select(self, **wanted: Any) -> NDArray[np.int64]:
        """Numbers of the clips that have all the given values.

        Names are split, source, sensor, licence, caption_kind, or any label (violent, side, mirrored, ...). A list of
        values matches any of them, and a label that is a list matches each of its elements. Raises ConfigError for an
        unknown name; the message suggests the nearest.
        """
        fields = {"split", "source", "sensor", "licence", "caption_kind"}
        known = fields.union(*(clip.labels for clip in self.clips))
        for name in wanted:
            if name not in known:
                raise ConfigError(f"clips of {self.folder} have no {name!r}; {suggest(name, known)}")

        def fits(clip: ClipRecord, name: str, choice: Any) -> bool:
            value = getattr(clip, name) if name in fields else clip.labels.get(name)
            choices = choice if isinstance(choice, Collection) and not isinstance(choice, str) else [choice]
            return any(one in choices for one in (value if isinstance(value, list) else [value]))

        chosen = (n for n, clip in enumerate(self.clips) if all(fits(clip, *pair) for pair in wanted.items()))
        return np.asarray(list(chosen), np.int64)


def _check_file(folder: Path, facts: dict[str, Any], verify: bool) -> None:
    path = folder / facts["file"]
    if not path.is_file():
        raise DataError(f"{path} is missing; {REMEDY}")
    size = path.stat().st_size
    if size != facts["bytes"]:
        raise DataError(f"{path} is damaged: found {size} bytes, expected {facts['bytes']}; {REMEDY}")
    if verify and sha256_file(path) != facts["sha256"]:
        raise DataError(f"{path} is damaged: its contents do not fit the SHA-256 in manifest.json; {REMEDY}")


def _mapped(folder: Path, name: str, facts: dict[str, Any]) -> NDArray[Any]:
    path = folder / facts["file"]
    if 0 in facts["shape"]:
        return np.zeros(facts["shape"], facts["dtype"])  # nothing to map
    try:
        column = read_npy(path, mapped=True)
    except DataError as error:
        raise DataError(f"the {name} column is damaged: {error}; {REMEDY}") from None
    if list(column.shape) != facts["shape"] or str(column.dtype) != facts["dtype"]:
        actual = f"{column.dtype} {list(column.shape)}"
        raise DataError(f"{path} is damaged: found {actual}, expected {facts['dtype']} {facts['shape']}; {REMEDY}")
    return column


def _read_index(folder: Path, manifest: dict[str, Any]) -> list[ClipRecord]:
    path = folder / manifest["index"]["file"]
    try:
        clips = [ClipRecord.from_json(line) for line in read_lines(path)]
    except DataError as error:
        raise DataError(f"{path} is damaged: {error}; {REMEDY}") from None
    columns = manifest["columns"]
    frames, rows = columns["joints"]["shape"][0], columns["features"]["shape"][0]
    inside = all(c.frame_start <= frames - c.frames and c.row_start <= rows - c.rows for c in clips)
    labelled = columns.get("frame_labels", {"shape": [0]})["shape"][0] == frames
    if len(clips) != manifest["clips"] or not inside or any(c.has_frame_labels and not labelled for c in clips):
        raise DataError(f"{path} is damaged: its {len(clips)} clips do not fit the columns; {REMEDY}")
    return clips
