"""`Source`: what a reader may be told about a file that the file itself does not say; and reading its text."""

from dataclasses import dataclass
from pathlib import Path

from exuvia.errors import ConfigError, DataError

MAX_TEXT_BYTES = 1 << 30
MAX_FRAMES = 500_000
"""Over an hour at 120 frames a second: the longest motion that is read unless a caller allows less."""
MAX_JOINTS = 512
"""Joints and bone ends of the largest rig; bodies with fingers and a face have up to about 200."""
BLOCK = 4096
"""Frames of a rig that are posed at a time; only the 22 joints are kept of them."""
JOINTS_A_FRAME = 100
"""Joints times frames of one file are at most this times its frames: large rigs must be short."""


@dataclass(frozen=True)
class Source:
    """Facts that override a reader's own guesses. Everything is optional."""

    fps: float | None = None
    """Frame rate of the file, for formats that store none (.npy, .amc) or store a wrong one."""
    unit_m: float | None = None
    """Metres in one unit of the file; None finds the unit from the length of the legs."""
    up: str = "y"
    """The file's upward axis, "y" or "z" (arrays only: the other formats have a convention)."""
    asf: Path | None = None
    """Skeleton file of an .amc motion; None looks beside it."""
    body_models: Path | None = None
    """Folder or file of the licensed body models for AMASS; None reads the variable SMPL_MODELS."""
    max_frames: int = MAX_FRAMES
    """Longest motion that is read; `load_clip` sets it."""

    def __post_init__(self) -> None:
        if self.up not in ("y", "z"):
            raise ConfigError(f"found up axis {self.up!r}, expected 'y' or 'z'")
        for name in ("fps", "unit_m"):
            value = getattr(self, name)
            if value is not None and not (0 < value < float("inf")):
                raise ConfigError(f"found {name} = {value}, expected a positive number")


def check_size(frames: float, joints: int, source: Source) -> None:
    """Raise DataError, before any work, for more frames or joints than `source` and this module allow."""
    if joints > MAX_JOINTS:
        raise DataError(f"found {joints} joints, expected a body of at most {MAX_JOINTS}; export the body alone")
    most = int(source.max_frames * min(1.0, JOINTS_A_FRAME / joints))
    if frames > most:
        raise DataError(f"found {frames:.0f} frames of {joints} joints, expected at most {most}; cut it into parts")


def read_text(path: str | Path) -> str:
    """A motion file's text; bytes that are no UTF-8 (names in old headers) become replacement characters.

    Raises:
        DataError: the file is missing, unreadable, empty or larger than 1 GiB.
    """
    source = Path(path)
    try:
        if source.stat().st_size > MAX_TEXT_BYTES:
            raise DataError(f"found a text file of {source.stat().st_size} bytes, expected at most 1 GiB")
        text = source.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror or error}") from None
    if not text.strip():
        raise DataError("found an empty file, expected motion data; fetch the file again")
    return text
