"""IMDB and CIFAR-10 in all their layouts, files that are something else, and pickles that would like to run."""

import json
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exuvia.errors import DataError, ShapeError
from lab.lra.image import PixelSequences, grey, read_cifar10
from lab.lra.text import read_imdb

REVIEWS = {
    "train/neg/1_2.txt": b"dull",
    "train/neg/0_1.txt": b"bad",
    "train/pos/0_9.txt": "très bon".encode(),
    "test/pos/3_10.txt": b"x" * 5000,
    "test/neg/7_1.txt": b"",
}
DATA = Path(os.environ.get("EXUVIA_DATA", "../shared/data"))


def folder_of(root: Path, reviews: dict[str, bytes]) -> Path:
    for name, content in reviews.items():
        path = root / "aclImdb" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "aclImdb" / "README.txt").write_text("not a review", encoding="utf-8")
    return root


def test_reviews_of_a_folder_and_of_an_archive_are_the_same(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, REVIEWS)
    with tarfile.open(tmp_path / "imdb.tar.xz", "w:xz") as archive:
        archive.add(folder / "aclImdb", "aclImdb")
    for source in (folder, folder / "aclImdb", tmp_path / "imdb.tar.xz"):
        train, test = read_imdb(source)
        assert [(train[n] - 1).tobytes() for n in range(3)] == [b"bad", b"dull", "très bon".encode()]
        assert train.labels.tolist() == [0, 0, 1]
        assert test.labels.tolist() == [0, 1]
        assert test.lengths.tolist() == [0, 4096]
        x, valid, _ = test.batch(np.asarray([1, 0]))
        assert x.shape == (2, 4096)
        assert valid is not None
        assert valid.sum(1).tolist() == [4096, 0]


def test_other_archives_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no train/pos"):
        read_imdb(folder_of(tmp_path, {"train/neg/0_1.txt": b"bad"}))
    (tmp_path / "broken.tar.xz").write_bytes(b"no archive")
    for name in ("broken.tar.xz", "missing.tar"):
        with pytest.raises(DataError, match="is not a readable archive"):
            read_imdb(tmp_path / name)


@pytest.mark.parametrize("suffix", ["", "gz", "xz"])
def test_damaged_archives_are_refused_and_lose_nothing_silently(suffix: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    reviews = {f"{s}/{k}/{n}_1.txt": rng.bytes(300).replace(b"\xff", b"x") for s in ("train", "test")
               for k in ("pos", "neg") for n in range(8)}  # fmt: skip
    path = tmp_path / "imdb.tar"
    with tarfile.open(path, f"w:{suffix}") as archive:  # type: ignore[call-overload]
        archive.add(folder_of(tmp_path, reviews) / "aclImdb", "aclImdb")
    whole = path.read_bytes()
    train, _ = read_imdb(path)
    for cut in (len(whole) // 3, len(whole) // 2, (9 * len(whole)) // 10 if suffix else len(whole) // 2 - 512):
        path.write_bytes(whole[:cut])
        with pytest.raises(DataError, match=r"imdb\.tar"):
            read_imdb(path)
    for place in np.linspace(len(whole) // 4, len(whole) // 2, 12).astype(int):
        damaged = bytearray(whole)
        damaged[place : place + 700] = bytes(rng.integers(1, 256, 700, dtype=np.uint8))
        path.write_bytes(bytes(damaged))
        try:
            found, _ = read_imdb(path)
        except DataError:
            continue
        assert len(found) == len(train)  # only contents, which an archive has no checksum of, may differ


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "text" / "aclImdb.tar.xz").is_file(), reason="needs the development data's IMDB")
def test_the_real_reviews_have_the_documented_sizes() -> None:
    train, test = read_imdb(DATA / "text" / "aclImdb.tar.xz")
    assert (len(train), len(test)) == (25_000, 25_000)
    assert (len(train.tokens), len(test.tokens)) == (33_132_823, 32_350_685)


def images(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3072), dtype=np.uint8), rng.integers(0, 10, count)


def write_batches(folder: Path, layout: str, count: int = 20) -> Path:
    folder.mkdir()
    train = []
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        colours, labels = images(count, number)
        if layout == "binary":
            np.column_stack([labels.astype(np.uint8), colours]).tofile(folder / f"{name}.bin")
        else:
            picture = colours.reshape(count, 3, 1024).transpose(0, 2, 1)
            Image.fromarray(np.ascontiguousarray(picture)).save(folder / f"{name}.png")
            train += labels.tolist() if name != "test_batch" else []
            (folder / "test_lables.json").write_text(json.dumps(labels.tolist()), encoding="utf-8")
    (folder / "train_lables.json").write_text(json.dumps(train), encoding="utf-8")
    return folder


def test_all_layouts_hold_the_same_pictures(tmp_path: Path) -> None:
    found = [read_cifar10(write_batches(tmp_path / layout, layout)) for layout in ("binary", "sheets")]
    for parts in zip(*found, strict=True):
        for other in parts[1:]:
            assert np.array_equal(parts[0].pixels, other.pixels)
            assert np.array_equal(parts[0].labels, other.labels)
    train, valid, test = found[0]
    assert (len(train), len(valid), len(test)) == (90, 10, 20)
    colours, labels = images(20, 5)
    assert np.array_equal(test.labels, labels)
    x, mask, _ = test.batch(np.asarray([3]))
    assert mask is None
    np.testing.assert_allclose(x[0].numpy() * 61.0 + 122.6, grey(colours)[3], atol=1e-3)
    rows = {row.tobytes() for part in (train, valid) for row in part.pixels}
    assert len(rows) == 100  # every training picture is in one of the two


def test_grey_is_that_of_pillow() -> None:
    colours, _ = images(4)
    for picture, row in zip(colours.reshape(4, 3, 32, 32), grey(colours), strict=True):
        expected = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0))).convert("L")
        assert np.array_equal(np.asarray(expected).ravel(), row)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


def test_pickled_batches_are_not_read(tmp_path: Path) -> None:
    for number in range(1, 6):
        (tmp_path / f"data_batch_{number}").write_bytes(pickle.dumps({b"data": Bomb(tmp_path / "gone")}))
    with pytest.raises(DataError, match="cifar-10-binary"):
        read_cifar10(tmp_path)
    assert not (tmp_path / "gone").exists()


def test_damaged_batches_are_named(tmp_path: Path) -> None:
    folder = write_batches(tmp_path / "sheets", "sheets")
    (folder / "data_batch_1.png").write_bytes((folder / "data_batch_1.png").read_bytes()[:80])
    with pytest.raises(DataError, match="data_batch_1 is not a readable batch"):
        read_cifar10(folder)


def test_other_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder of CIFAR-10"):
        read_cifar10(tmp_path)
    folder = write_batches(tmp_path / "binary", "binary")
    with open(folder / "test_batch.bin", "ab") as stream:
        stream.write(b"\0")
    with pytest.raises(DataError, match="a multiple of 3073"):
        read_cifar10(folder)
    folder = write_batches(tmp_path / "labels", "binary")
    raw = bytearray((folder / "data_batch_2.bin").read_bytes())
    raw[0] = 77
    (folder / "data_batch_2.bin").write_bytes(bytes(raw))
    with pytest.raises(DataError, match="to 77, expected 0 to 9"):
        read_cifar10(folder)
    folder = write_batches(tmp_path / "sheets", "sheets")
    (folder / "train_lables.json").write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(DataError, match="too few"):
        read_cifar10(folder)
    with pytest.raises(ShapeError, match="expected \\[N, L\\]"):
        PixelSequences(np.zeros((2, 3), np.uint8), np.zeros(3, np.int64))
