"""`Source`: what a reader may be told about a file that the file itself does not say; and reading its text."""

from dataclasses import dataclass
from pathlib import Path

from exuvia.errors import ConfigError, DataError

MAX_TEXT_BYTES = 1 << 30


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

    def __post_init__(self) -> None:
        if self.up not in ("y", "z"):
            raise ConfigError(f"found up axis {self.up!r}, expected 'y' or 'z'")
        for name in ("fps", "unit_m"):
            value = getattr(self, name)
            if value is not None and not (0 < value < float("inf")):
                raise ConfigError(f"found {name} = {value}, expected a positive number")


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
