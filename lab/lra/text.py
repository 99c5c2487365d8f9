"""Text: is a film review good or bad? IMDB's 25,000 + 25,000 reviews as bytes.

Layout, of a folder or of a tar archive with it: aclImdb/{train,test}/{pos,neg}/ID_RATING.txt [maas2011imdb]. As in the
Long Range Arena's byte level [tay2021lra], the first 4,096 (published: 4,000 in its configuration, 4,096 in s4's
configs/experiment/lra/s4-imdb.yaml, whose settings are taken here) bytes count. A byte b is token b + 1.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from exuvia.errors import DataError
from lab.archive import archive_files
from lab.lra.packed import Packed

LONGEST = 4096
VOCABULARY = 257
"""Padding and 256 bytes."""
CLASSES = 2
_NAME = re.compile(r"(?:^|/)(train|test)/(pos|neg)/(\d+)_\d+\.txt$")


def read_imdb(source: str | Path, longest: int = LONGEST) -> tuple[Packed, Packed]:
    """Training and test reviews, negative ones (0) first, by number; the archive is read as a stream, never unpacked.

    Args:
        source: the folder aclImdb (or the one around it), or a .tar, .tar.gz or .tar.xz of it
        longest: bytes of a review that count
    Raises:
        DataError: nothing there, a damaged archive, or no reviews of both kinds in it.
    """
    place, found = Path(source), dict[tuple[str, int, int], bytes]()
    try:
        files = _of_folder(place) if place.is_dir() else archive_files(place, lambda name: name.endswith(".txt"))
        for name, content in files:
            match = _NAME.search(name)
            if match:
                found[match[1], int(match[2] == "pos"), int(match[3])] = content
    except OSError as error:
        raise DataError(f"{place} is no readable folder of IMDB ({error})") from None
    parts = []
    for split in ("train", "test"):
        keys = sorted(key for key in found if key[0] == split)
        if len({label for _, label, _ in keys}) < 2:
            raise DataError(f"{place} has no {split}/pos and {split}/neg reviews; expected the layout of aclImdb")
        sequences = [np.frombuffer(found[key], np.uint8).astype(np.int16) + 1 for key in keys]
        parts.append(_packed(sequences, [label for _, label, _ in keys], longest))
    return parts[0], parts[1]


def _packed(sequences: list[np.ndarray], labels: list[int], longest: int) -> Packed:
    """Byte 255 would be token 256, which eight bits do not hold; UTF-8 has no such byte."""
    if any((one > 255).any() for one in sequences):
        raise DataError("found the byte 255 in a review, expected text in UTF-8")
    return Packed.of([one.astype(np.uint8) for one in sequences], labels, longest)


def _of_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*.txt")):
        yield path.as_posix(), path.read_bytes()
