"""Reads folders of version 0.1, where the generator of base codes is called `mask` instead of `base`."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def renamed(values: Mapping[str, T]) -> dict[str, T]:
    """The same values with `mask` and `mask.x` called `base` and `base.x`; other names stay."""
    return {"base" + name[4:] if name.partition(".")[0] == "mask" else name: one for name, one in values.items()}


def weights_path(folder: Path, part: str) -> Path:
    """The file of a part's weights in a pipeline folder."""
    path, older = folder / f"{part}.safetensors", folder / "mask.safetensors"
    return older if part == "base" and older.exists() and not path.exists() else path
