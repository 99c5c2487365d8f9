"""`Source`: facts about a motion file that the file does not state; limits on its size; and reading its text."""

import re
from dataclasses import dataclass
from pathlib import Path

from exuvia.errors import ConfigError, DataError

ARGUMENT = re.compile(r"Source\((\w+)=\.\.\.\)")
"""A field of `Source` in a reader's message; commands and the studio put the name of their own switch there."""
MAX_TEXT_BYTES = 1 << 30
MAX_FRAMES = 500_000
"""Longest motion that is read unless the caller allows less: over an hour at 120 frames a second."""
MAX_JOINTS = 512
"""Joints and bone ends of the largest rig; bodies with fingers and a face have up to about 200."""
BLOCK = 4096
"""Frames that are posed at a time, so that only the 22 SMPL joints of a whole motion are in memory."""
JOINTS_A_FRAME = 100
"""Largest rig for which `MAX_FRAMES` frames are read; the limit on frames falls in proportion for larger rigs."""


@dataclass(frozen=True)
class Source:
    """Facts that override what a reader finds. All of them are optional."""

    fps: float | None = None
    """Frame rate of the file, for formats that store none (.npy, .amc) or a wrong one."""
    unit_m: float | None = None
    """Metres in one unit of the file; None derives the unit from the length of the legs."""
    up: str | None = None
    """Upward axis of the file, "y" or "z"; None: the one along which the body stands."""
    asf: Path | None = None
    """Skeleton file of an .amc motion; None looks for it in the motion's folder."""
    body_models: Path | None = None
    """Folder or file of the licensed body models for AMASS; None reads the variable SMPL_MODELS."""
    names: Path | None = None
    """TOML file that names the joints of a rig: lines such as left_hip = "Thigh_L"."""
    max_frames: int = MAX_FRAMES
    """Longest motion that is read, in frames; set by `load_clip`."""

    def __post_init__(self) -> None:
        if self.up not in (None, "y", "z"):
            raise ConfigError(f"found up axis {self.up!r}, expected 'y' or 'z'")
        for name in ("fps", "unit_m"):
            value = getattr(self, name)
            if value is not None and not (0 < value < float("inf")):
                raise ConfigError(f"found {name} = {value}, expected a positive number")


def check_size(frames: float, joints: int, source: Source) -> None:
    """Raise DataError if there are more frames or joints than `source` and this module allow."""
    if joints > MAX_JOINTS:
        raise DataError(f"found {joints} joints, expected a body of at most {MAX_JOINTS}; export the body alone")
    most = int(source.max_frames * min(1.0, JOINTS_A_FRAME / joints))
    if frames > most:
        raise DataError(f"found {frames:.0f} frames of {joints} joints, expected at most {most}; split the file")


def check_file_size(path: Path) -> None:
    """Raise DataError if a file is larger than 1 GiB."""
    if (size := path.stat().st_size) > MAX_TEXT_BYTES:
        raise DataError(f"found a file of {size} bytes, expected at most 1 GiB")


def read_text(path: str | Path) -> str:
    """Read a motion file as text; bytes that are not UTF-8 (names in old headers) become replacement characters.

    Raises DataError if the file is missing, unreadable, empty or larger than 1 GiB.
    """
    source = Path(path)
    try:
        check_file_size(source)
        text = source.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}") from None
    if not text.strip():
        raise DataError("found an empty file, expected motion data; download the file again")
    return text
