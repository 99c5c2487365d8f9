"""`ClipRecord`: facts about one clip of a prepared data set, stored as one line of JSON."""

import json
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import Field

from exuvia.config import Count
from exuvia.data.captions import Caption
from exuvia.errors import DataError
from exuvia.readers import parse_as

Offset = Annotated[int, Field(ge=0)]
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ClipRecord:
    """Position of a clip in the columns of a store, and facts about it."""

    id: str
    """Name of the clip, unique in the store; a mirrored twin has the original's id with 'M' in front."""
    source: str
    """Collection from which the clip comes."""
    split: str
    """train, val or test."""
    fps: Annotated[float, Field(gt=0, le=1000)]
    """Frames a second."""
    frames: Count
    """Number of joint frames F."""
    rows: Count
    """Number of feature rows: F - 1, or F if the source has as many features as frames (HumanML3D)."""
    frame_start: Offset = 0
    """First frame in `joints.npy` and `frame_labels.npy`."""
    row_start: Offset = 0
    """First row in `features.npy`."""
    captions: tuple[Caption, ...] = ()
    """Sentences about the clip; may be empty."""
    caption_kind: str = ""
    """Origin of the captions: human, description, template or empty."""
    labels: dict[str, Any] = field(default_factory=dict)
    """Labels: violent, keyword_violent, side, label, mirrored, and any others of the source."""
    has_frame_labels: bool = False
    """Whether `frame_labels.npy` has labels for this clip."""
    licence: str = ""
    """Licence of the motion and its captions, if known."""
    sensor: str = ""
    """Kind of capture: optical, kinect, synthetic, ..."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Source file, trial, repairs."""

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise DataError(f"clip {self.id}: found split {self.split!r}, expected one of {', '.join(SPLITS)}")

    def to_json(self) -> str:
        """One line of `clips.jsonl`."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> "ClipRecord":
        """Read a line that `to_json` wrote. Raises DataError for any other line."""
        return parse_as(cls, line, f"the clip record {line[:60]!r}")
