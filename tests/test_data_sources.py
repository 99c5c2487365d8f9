"""Official folders and motion files as sources, and exporting a store as an official folder."""

import shutil
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from exuvia.data.captions import Caption, read_captions
from exuvia.data.concepts import VIOLENCE
from exuvia.data.export_humanml3d import caption_line, export_humanml3d, flat_names
from exuvia.data.prepare import prepare
from exuvia.data.splits import split_store
from exuvia.data.store import Store
from exuvia.errors import ConfigError, DataError, OutputError
from exuvia.features.humanml3d import HUMANML3D
from exuvia.features.kit import KIT
from exuvia.features.normaliser import Normaliser
from made_mocap import body, mocap_folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("made")
    return prepare(mocap_folder(folder / "mocap", 12), folder / "store")


def test_export_and_prepare_give_the_same_features(store: Store, tmp_path: Path) -> None:
    folder = export_humanml3d(store, tmp_path / "HumanML3D")
    again = prepare(folder, tmp_path / "again")
    assert len(again) == len(store)  # its twins are there already, so none is added
    for clip in store.clips:
        old, new = store.index_of[clip.id], again.index_of[clip.id]
        np.testing.assert_array_equal(store.features(old), again.features(new))
        np.testing.assert_array_equal(HUMANML3D.recover(np.asarray(store.features(old))), again.joints(new))
        assert again.clips[new].split == clip.split
        assert again.clips[new].captions == clip.captions
        assert again.clips[new].labels["mirrored"] == clip.labels["mirrored"]
    third = export_humanml3d(again, tmp_path / "third")
    for path in folder.rglob("*"):
        if path.is_file() and path.parent.name != "texts":
            assert path.stat().st_size == (third / path.relative_to(folder)).stat().st_size


def test_export_fits_the_official_loaders(store: Store, tmp_path: Path) -> None:
    folder = export_humanml3d(store, tmp_path / "out")
    lists = {
        name: (folder / f"{name}.txt").read_text().split() for name in ("train", "val", "test", "train_val", "all")
    }
    assert set(lists["train_val"]) == set(lists["train"]) | set(lists["val"])
    assert len(lists["all"]) == len(lists["train_val"]) + len(lists["test"]) == len(store)
    mean, std = np.load(folder / "Mean.npy"), np.load(folder / "Std.npy")
    expected = Normaliser.fit((store.features(k) for k in store.select(split="train")), 22)
    np.testing.assert_array_equal(mean, expected.mean)
    np.testing.assert_array_equal(std, expected.std)
    assert len(set(std[4:67])) == 1  # averaged within its group
    for name in lists["all"]:
        vectors = np.load(folder / "new_joint_vecs" / f"{name}.npy")
        assert vectors.shape == (len(np.load(folder / "new_joints" / f"{name}.npy")), 263)
        for line in (folder / "texts" / f"{name}.txt").read_text().splitlines():
            _, tokens, start, end = line.split("#")
            assert all(len(token.split("/")) == 2 for token in tokens.split(" "))
            assert float(start) <= float(end)


def test_untagged_captions_get_tags(tmp_path: Path) -> None:
    text, tokens, *_ = caption_line(Caption("a man  kicks #1\nwith and/or without his left foot")).split("#")
    assert text == "a man kicks 1 with and/or without his left foot"
    assert all(len(token.split("/")) == 2 for token in tokens.split(" "))
    assert any(token.endswith("/VERB") for token in tokens.split(" "))


def test_an_export_never_overwrites(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(OutputError, match="holds mine, not a HumanML3D export"):
        export_humanml3d(store, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_names_are_flat_and_distinct() -> None:
    assert flat_names(["a/b", "a_b", "a:b", "c-1.x"]) == ["a_b-2", "a_b", "a_b-3", "c-1.x"]


def official(folder: Path, layout: object = HUMANML3D, ids: str = "000001 M000001 000002") -> Path:
    """An official folder with one clip under several ids."""
    for part in ("new_joint_vecs", "new_joints", "texts"):
        (folder / part).mkdir(parents=True)
    for seed, name in enumerate(ids.split()):
        vectors = HUMANML3D.encode([body(60, seed)])[0]
        np.save(folder / "new_joint_vecs" / f"{name}.npy", vectors)
        np.save(folder / "new_joints" / f"{name}.npy", HUMANML3D.recover(vectors))
        (folder / "texts" / f"{name}.txt").write_text("a person walks.#a/DET person/NOUN walk/VERB#nan#0.0\n")
    (folder / "train.txt").write_text("\n".join(ids.split()) + "\n")
    return folder


def test_an_official_folder_is_stored_as_published(tmp_path: Path) -> None:
    folder = official(tmp_path / "HumanML3D")
    (folder / "train.txt").write_text("000001\nM000001\n000002\n011059\n")
    (folder / "new_joints" / "000002.npy").unlink()
    store = prepare(folder, tmp_path / "out")
    assert [clip.id for clip in store.clips] == ["000001", "M000001", "000002"]
    assert [clip["id"] for clip in store.manifest["skipped"]] == ["011059"]
    for k, clip in enumerate(store.clips):
        vectors = np.load(folder / "new_joint_vecs" / f"{clip.id}.npy")
        np.testing.assert_array_equal(store.features(k), vectors)
        np.testing.assert_array_equal(store.joints(k), HUMANML3D.recover(vectors))
        assert clip.captions == (Caption("a person walks.", "a/DET person/NOUN walk/VERB"),)
        assert clip.frames == clip.rows == 59


def test_a_folder_without_twins_gets_them(tmp_path: Path) -> None:
    folder = official(tmp_path / "HumanML3D", ids="000001 000002")
    store = prepare(folder, tmp_path / "out")
    assert [clip.id for clip in store.clips] == ["000001", "M000001", "000002", "M000002"]


PARTS = ("new_joint_vecs", "new_joints", "texts", "train.txt", "val.txt", "test.txt")


@pytest.mark.parametrize("kept", [kept for count in range(1, 7) for kept in combinations(PARTS, count)], ids="+".join)
def test_every_subset_of_the_layout_is_read_whole_or_refused_by_name(kept: tuple[str, ...], tmp_path: Path) -> None:
    ids = ["000001", "000002", "000003"]
    folder = official(tmp_path / "HumanML3D", ids=" ".join(ids))
    for name, split in zip(ids, ("train", "val", "test"), strict=True):
        (folder / f"{split}.txt").write_text(name + "\n")
    for part in set(PARTS) - set(kept):
        shutil.rmtree(folder / part) if (folder / part).is_dir() else (folder / part).unlink()
    lists = [part for part in kept if part.endswith(".txt")]
    motions = [part for part in kept if part.startswith("new")]
    if len(lists) == 3 and motions and "texts" in kept:
        store = prepare(folder, tmp_path / "out", mirror=False)
        assert [(clip.id, clip.split) for clip in store.clips] == list(zip(ids, ("train", "val", "test"), strict=True))
        assert all(clip.captions for clip in store.clips)
        for k in range(len(ids)):
            vectors = HUMANML3D.encode([body(60, k)])[0]
            assert np.abs(store.features(k)[:58] - vectors[:58]).mean() < 0.005
        return
    with pytest.raises(DataError) as caught:
        prepare(folder, tmp_path / "out")
    if motions or (lists and "texts" in kept):
        assert any(part in str(caught.value) for part in set(PARTS) - set(kept))
    assert not (tmp_path / "out").exists()


def test_joints_of_another_layout_are_refused(tmp_path: Path) -> None:
    folder = official(tmp_path / "HumanML3D")
    shutil.rmtree(folder / "new_joint_vecs")
    with pytest.raises(ConfigError, match=r"\(59, 22, 3\), expected \(frames, 21, 3\)"):
        prepare(folder, tmp_path / "out", representation="kit")


def test_folder_of_another_layout_raises_with_its_name(tmp_path: Path) -> None:
    folder = official(tmp_path / "KIT-ML")
    for path in (folder / "new_joint_vecs").iterdir():
        np.save(path, np.zeros((50, KIT.dim), np.float32))
    with pytest.raises(ConfigError, match=r"251 channels, expected 263.*use representation 'kit'"):
        prepare(folder, tmp_path / "out")
    (folder / "val.txt").write_text("000001\n")
    with pytest.raises(DataError, match=r"000001 is in both train\.txt and val\.txt"):
        prepare(folder, tmp_path / "out", representation="kit")


def test_kit_motion_is_prepared_and_mirrored(tmp_path: Path) -> None:
    folder = tmp_path / "KIT-ML"
    for part in ("new_joint_vecs", "texts"):
        (folder / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    np.save(folder / "new_joint_vecs" / "00001.npy", rng.normal(0, 0.05, (40, 251)).astype(np.float32))
    (folder / "texts" / "00001.txt").write_text("a person walks left.#a/DET#0.0#0.0\n")
    (folder / "train.txt").write_text("00001\n")
    store = prepare(folder, tmp_path / "out", representation="kit")
    assert [clip.id for clip in store.clips] == ["00001", "M00001"]
    assert store.joints(0).shape == (40, 21, 3)
    assert store.clips[0].fps == 12.5
    assert store.clips[1].captions[0].text == "a person walks right."


def test_motion_files_with_captions(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "walks").mkdir(parents=True)
    np.save(folder / "walks" / "one.npy", body(50))
    (folder / "walks" / "one.txt").write_text("a person walks\nsomeone strolls to the left\n")
    np.save(folder / "two.npy", body(45, 1))
    (folder / "three.npy").write_bytes(b"nothing")
    store = prepare(folder, tmp_path / "out", mirror=False)
    assert {clip.id for clip in store.clips} == {"two", "walks/one"}
    record = store.clips[store.index_of["walks/one"]]
    assert [caption.text for caption in record.captions] == ["a person walks", "someone strolls to the left"]
    np.testing.assert_array_equal(store.joints(store.index_of["two"]), body(45, 1))
    assert store.manifest["skipped"][0]["id"] == "three"
    single = prepare(folder / "two.npy", tmp_path / "single", mirror=False)
    assert [clip.id for clip in single.clips] == ["two"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no motion file"):
        prepare(tmp_path / "empty", tmp_path / "nothing")


def test_caption_file_is_not_read_as_motion(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "note.txt").write_text("a sentence without a motion\n")
    np.save(folder / "one.npy", body(50))
    assert len(prepare(folder, tmp_path / "out", mirror=False)) == 1
    assert read_captions(folder / "note.txt", strict=False)[0].text == "a sentence without a motion"


def test_synthetic_motion_is_stored_with_its_labels(tmp_path: Path) -> None:
    store = prepare("synthetic", tmp_path / "out", count=24, seed=5)
    assert store.manifest["skipped"] == []
    assert len(store.select(mirrored=False)) == 24
    assert set(store.manifest["by_sensor"]) == {"synthetic"}
    for number, clip in enumerate(store.clips):
        labels = store.frame_labels(number)
        assert labels is not None
        assert labels.shape == (clip.frames,)
        assert 0 <= labels.min() <= labels.max() < len(store.manifest["source"][0]["frame_labels"])
        assert clip.captions
    acted = split_store(store, VIOLENCE, "label").forget
    assert {store.clips[k].id for k in store.select(concepts="violence")} == set(acted)
    assert prepare("synthetic", tmp_path / "out", count=24, seed=5).data_hash == store.data_hash
    with pytest.raises(ConfigError, match="another source"):
        prepare("synthetic", tmp_path / "out", count=24, seed=6)
    with pytest.raises(ConfigError, match="count 0"):
        prepare("synthetic", tmp_path / "none", count=0)


def test_sources_joined_with_a_plus(tmp_path: Path) -> None:
    source = mocap_folder(tmp_path / "mocap", 4)
    store = prepare(f"{source}+synthetic", tmp_path / "out", count=3, mirror=False)
    assert store.manifest["by_source"] == {"made": 4, "synthetic": 3}
    assert store.frame_labels(0) is None
    assert store.frame_labels(4) is not None
    assert (store.columns["frame_labels"][: store.clips[4].frame_start] == -1).all()
