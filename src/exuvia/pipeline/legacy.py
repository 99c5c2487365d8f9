"""Reads older folders, such as the shipped `base`, in which the generator of base codes is named `mask`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def renamed(values: Mapping[str, T]) -> dict[str, T]:
    """Rename `mask` and `mask.x` to `base` and `base.x`; other names stay."""
    return {"base" + name[4:] if name.partition(".")[0] == "mask" else name: value for name, value in values.items()}


def weights_path(folder: Path, part: str) -> Path:
    """File of a part's weights in a pipeline folder."""
    path, older = folder / f"{part}.safetensors", folder / "mask.safetensors"
    return older if part == "base" and older.exists() and not path.exists() else path
