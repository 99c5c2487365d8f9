"""Damaged and lying files of every kind end in one sentence: a child of ExuviaError, quickly, without taking memory."""

import io
import json
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from damage import JOINTS, QUICK, archive, bvh, damaged_stream, deepmimic, header, npy, npz, refused, value_or_sentence
from exuvia.checkpoint import find_pipeline, load_into, load_metadata, load_state_dicts, load_tensors, save_tensors
from exuvia.commands.generate import read_prompts as read_prompt_file
from exuvia.config import from_dict
from exuvia.data.prepare import prepare
from exuvia.data.record import ClipRecord
from exuvia.data.store import Store
from exuvia.errors import CheckpointError, ConfigError, DataError
from exuvia.evaluation.report import read_report
from exuvia.motion.load import load_clip
from exuvia.motion.source import Source
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.pipeline.settings import GenerationConfig
from exuvia.published.momask import load_bamm, read_options, statistic
from exuvia.readers import parse_json, read_json, read_npy, read_npz, read_safetensors, read_toml
from exuvia.text.word_lists import ALLOWED, read_words
from exuvia.text.word_vectors import GloVeWords
from tiny import tiny_pipeline

MOTIONS = {
    "open.npy": header("{'descr': '<f4', 'shape': (4,22,3"),
    "none.npy": header("{'descr': None, 'fortran_order': False, 'shape': (4,22,3), }"),
    "claims.npy": header("{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000, 22, 3), }", b"\0" * 64),
    "negative.npy": header("{'descr': '<f4', 'fortran_order': False, 'shape': (-4, 22, 3), }", b"\0" * 64),
    "records.npy": npy(np.zeros(4, [("a", "f4")])),
    "zip.npy": npz(joints=JOINTS),
    "empty.npy": b"",
    "cut.npy": npy(JOINTS)[:200],
    "rate.npz": npz(joints=JOINTS, fps=1e-7),
    "slow.npz": npz(joints=JOINTS, fps=1e-4),
    "stream.npz": damaged_stream(),
    "text.npz": archive(joints=b"text"),
    "fps.npz": archive(fps=b"20", joints_npy=npy(JOINTS)),
    "claims.npz": archive(joints_npy=header("{'descr': '<f8', 'fortran_order': False, 'shape': (10**9, 22, 3), }")),
    "lzma.npz": archive(zipfile.ZIP_LZMA, joints_npy=npy(JOINTS)),
    "crc.npz": archive(joints_npy=npy(JOINTS)).replace(npy(JOINTS)[200:220], b"\1" * 20),
    "objects.npz": npz(joints=np.array([{}], dtype=object)),
    "single.npz": npy(JOINTS),
    "amass.npz": npz(poses=JOINTS, trans=JOINTS, fps=20),
    "gender.npz": npz(poses=np.zeros((3, 66)), trans=np.zeros((3, 3)), fps=20, gender="x" * 5000),
    "deep.txt": b'{"Frames": ' + b"[" * 100_000,
    "digits.txt": b'{"Frames": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("name", MOTIONS)
def test_a_damaged_motion_is_one_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(MOTIONS[name])
    assert name in refused(lambda: load_clip(tmp_path / name, source=Source(body_models=tmp_path)))


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5000, '"\\ud800"', "\ufeff{}", "{", ""])
def test_json_that_is_none_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    assert "a.json" in refused(read_json, tmp_path / "a.json", kind=DataError)
    assert "this" in refused(parse_json, text, "this", kind=DataError)
    assert refused(ClipRecord.from_json, text, kind=DataError)


def test_text_files_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("walk#" + "1" * 5000)
    assert "p.txt" in refused(read_prompt_file, tmp_path / "p.txt", kind=DataError)
    (tmp_path / "mean.npy").write_bytes(b"")
    assert "mean.npy" in refused(statistic, tmp_path / "mean.npy", kind=CheckpointError)
    np.save(tmp_path / "mean.npy", np.asarray(["a"]))
    assert "mean.npy" in refused(statistic, tmp_path / "mean.npy", kind=CheckpointError)


@pytest.mark.parametrize("given", [[1], 1, "x", None, {1: 2}, {"steps": "9"}, {"steps": None}, {"steps": 10**5000}])
def test_settings_of_other_types_are_one_sentence(given: Any) -> None:
    told = refused(from_dict, GenerationConfig, given, kind=ConfigError)
    assert "GenerationConfig" in told or "steps" in told


LINES = [
    {"id": "a", "captions": [{}]}, {"id": "a", "fps": None}, {"id": "a", "fps": 1e-9}, {"id": "a", "captions": 3},
    {"id": "a", "split": "other"}, {"id": "a", "captions": [{"text": "x", "start_s": "0"}]},
]  # fmt: skip


def mocap(folder: Path, lines: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    frames = 40
    with np.load(Path(__file__).with_name("frozen_motions.npz")) as motions:
        walk = next(m for m in motions.values() if m.ndim == 3 and m.shape[1:] == (22, 3))[:frames]
    offsets = np.arange(len(lines) + 1) * len(walk)
    np.savez(folder / "clips.npz", joints=np.concatenate([walk] * len(lines)).astype(np.float32), offsets=offsets)
    (folder / "clips.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_one_damaged_clip_does_not_end_the_others(tmp_path: Path) -> None:
    good = {"id": "good", "captions": [{"text": "a person walks"}]}
    lines = [good, *({**line, "id": str(n)} for n, line in enumerate(LINES))]
    store = prepare(mocap(tmp_path / "source", lines), tmp_path / "store", mirror=False)
    assert [clip.id for clip in store.clips] == ["good"]
    assert {one["id"] for one in store.manifest["skipped"]} == {str(n) for n in range(len(LINES))}


def test_a_refused_source_leaves_no_work_behind(tmp_path: Path) -> None:
    for number, line in enumerate(LINES):
        source = mocap(tmp_path / f"s{number}", [line])
        refused(prepare, source, tmp_path / "out", kind=DataError)
    (tmp_path / "s0" / "clips.npz").write_bytes(b"x")
    refused(prepare, tmp_path / "s0", tmp_path / "out", kind=DataError)
    layout = tmp_path / "hml"
    (layout / "new_joint_vecs").mkdir(parents=True)
    (layout / "train.txt").write_bytes(b"\xff")
    refused(prepare, layout, tmp_path / "out", kind=DataError)
    (layout / "train.txt").write_text("x" * 5000)
    refused(prepare, layout, tmp_path / "out", kind=DataError)
    assert not list(tmp_path.glob("*out*"))


VALUES = [None, 3, -1, "x", [], {}, [1], {"a": 1}, [[]], 1e300, True]


def changes(tree: Any, value: Any) -> list[Any]:
    """Copies of a JSON tree, each with one value replaced or one key left out."""
    found = [value]
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree[:2]) if isinstance(tree, list) else ()
    for key, part in parts:
        for changed in changes(part, value):
            copy = dict(tree) if isinstance(tree, dict) else list(tree)
            copy[key] = changed
            found.append(copy)
        if isinstance(tree, dict):
            found.append({name: one for name, one in tree.items() if name != key})
    return found


def read_store(folder: Path) -> None:
    store = Store.open(folder)
    for number in range(len(store)):
        store.joints(number), store.features(number), store.frame_labels(number)
    _ = store.data_hash, store.keywords, store.representation, store.index_of
    store.select(split="train")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, and a generator."""
    root = tmp_path_factory.mktemp("folders")
    prepare(mocap(root / "source", [{"id": "a"}]), root / "store", mirror=False)
    tiny_pipeline().save_pretrained(root / "pipe")
    return root


def test_a_store_with_any_other_value_is_read_or_one_sentence(folders: Path) -> None:
    told = set()
    for file in ("manifest.json", "clips.jsonl"):
        path = folders / "store" / file
        text = path.read_text()
        facts = json.loads((folders / "store" / "manifest.json").read_text())
        for number, value in enumerate(VALUES):
            for changed in changes(json.loads(text), value)[number % 3 :: 3]:
                path.write_text(json.dumps(changed) + "\n")
                if file == "clips.jsonl":
                    facts["index"]["bytes"] = path.stat().st_size
                    (folders / "store" / "manifest.json").write_text(json.dumps(facts))
                told.add(value_or_sentence(lambda: read_store(folders / "store")))
        path.write_text(text)
    assert "" in told
    assert any("manifest.json" in sentence for sentence in told)


@pytest.mark.parametrize("file", ["config.json", "provenance.json"])
def test_a_generator_with_any_other_value_is_read_or_one_sentence(file: str, folders: Path) -> None:
    path = folders / "pipe" / file
    text, pipe = path.read_text(), MotionPipeline.from_pretrained(folders / "pipe", text=tiny_pipeline().text)
    share, told = 16 if file == "config.json" else 40, set()
    for number, value in enumerate((None, 10**9, "x", [1])):
        for changed in changes(json.loads(text), value)[number::share]:
            path.write_text(json.dumps(changed))
            told.add(value_or_sentence(lambda: MotionPipeline.from_pretrained(folders / "pipe", text=pipe.text)))
    path.write_text(text)
    assert any(file in sentence for sentence in told)


def test_a_report_with_any_other_value_is_shown_or_one_sentence(tmp_path: Path) -> None:
    row = {"set": "forget", "method": "a", "metric": "fid", "values": [1.0]}
    scale = {"unit": "1", "better": "lower", "meaning": "distance"}
    about = {"data": "d", "split": "test", "seeds": [0], "prompts": {"forget": 3}, "sensors": ["x"]}
    made = {"format": "exuvia-report/1", "about": about, "methods": [{"label": "a", "name": "", "settings": {}}]}
    made |= {"metrics": {"fid": scale}, "rows": [row], "notes": [], "examples": []}
    (tmp_path / "report.json").write_text(json.dumps(made))
    assert not value_or_sentence(lambda: read_report(tmp_path))
    told = set()
    for value in VALUES:
        for changed in changes(made, value):
            (tmp_path / "report.json").write_text(json.dumps(changed))
            told |= {
                value_or_sentence(lambda: [(r := read_report(tmp_path)).markdown(), r.csv(), r.latex(), r.origin()])
            }
    assert any("report.json" in sentence for sentence in told)


@pytest.mark.parametrize("order", ["<", ">"])
def test_text_of_characters_that_do_not_exist_is_one_sentence(order: str, tmp_path: Path) -> None:
    good = np.array(["male", "é"], f"{order}U4")
    bad = np.array([77, 0x110000, 0, 0], f"{order}u4").view(f"{order}U4")
    for name, array in (("good", good), ("bad", bad)):
        np.save(tmp_path / f"{name}.npy", array)
        np.savez(tmp_path / f"{name}.npz", gender=array)
    assert read_npy(tmp_path / "good.npy").tolist() == ["male", "é"]
    assert read_npz(tmp_path / "good.npz", ("gender",))["gender"].tolist() == ["male", "é"]
    assert "characters that do not exist" in refused(read_npy, tmp_path / "bad.npy")
    assert "characters that do not exist" in refused(read_npz, tmp_path / "bad.npz", ("gender",))


def test_weights_of_other_types_are_one_sentence(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 1)
    for kind in (torch.bool, torch.complex64, torch.int32):
        tensors = {name: value.to(kind) for name, value in module.state_dict().items()}
        assert "of another type" in refused(load_into, module, tensors, "it", kind=CheckpointError)
    assert load_into(module, {k: v.half() for k, v in module.state_dict().items()}, "it") is None
    for name in ("a\0b", "x" * 5000, "a/\0", "../..\0/b", "\ud800/x"):
        refused(find_pipeline, name, kind=CheckpointError)
    torch.save({"net": {"w": torch.zeros(1).expand(10**6, 10**6)}}, tmp_path / "a.tar")
    assert "fewer numbers than w" in refused(load_state_dicts, tmp_path / "a.tar", kind=CheckpointError)


@pytest.mark.parametrize("option", ["nb_code", "code_dim", "latent_dim", "ff_size", "n_layers", "n_heads"])
def test_published_sizes_are_checked_before_a_model_is_built(option: str, tmp_path: Path) -> None:
    torch.save({"t2m_transformer": {"cond_emb.weight": torch.zeros(4, 512)}}, tmp_path / "latest.tar")
    options = {"latent_dim": 4, "ff_size": 8, "n_layers": 1, "n_heads": 2, "dropout": 0.1, "cond_drop_prob": 0.1}
    tokenizer = {"nb_code": 8, "code_dim": 4}
    for size in (10**9, 10**30, "x"):
        (tokenizer if option in tokenizer else options)[option] = size
        assert refused(load_bamm, tmp_path / "latest.tar", options, tokenizer, kind=CheckpointError)


WORDS = ["unk", "walk", "kick"]


class Bomb:
    """Would be called by an unpickler that resolves names."""

    def __reduce__(self) -> tuple[object, ...]:
        return (exec, ("raise SystemExit(3)",))


def test_no_instruction_of_a_word_list_names_anything(tmp_path: Path) -> None:
    named = {op.name for op in pickletools.opcodes} - ALLOWED
    assert named >= {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "BUILD", "EXT1", "EXT2",
                     "EXT4", "PERSID", "BINPERSID", "NEXT_BUFFER"}  # fmt: skip
    for content in ([Bomb()], np.dtype("f4"), {1, 2}, bytearray(b"a"), complex(1)):
        for protocol in (0, 2, 4, 5):
            (tmp_path / "w.pkl").write_bytes(pickle.dumps(content, protocol))
            refused(read_words, tmp_path / "w.pkl", kind=DataError)


def lists(folder: Path) -> None:
    read_words(folder / "a.pkl", folder / "b.pkl")


def mutated(content: bytes, data: st.DataObject) -> bytes:
    """Bits turned, a piece cut, or another piece put in."""
    changed = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, max(0, len(changed) - 1)))
        how = data.draw(st.sampled_from(["bit", "cut", "end", "put"]))
        if how == "bit" and changed:
            changed[place] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "cut":
            del changed[place : place + data.draw(st.integers(1, 40))]
        elif how == "end":
            del changed[place:]
        else:
            piece = st.one_of(st.binary(max_size=9), st.sampled_from([b"[" * 3000, b"9" * 4400, b"1e999", b"\xff" * 8]))
            changed[place:place] = data.draw(piece)
    return bytes(changed)


def safetensors_bytes() -> bytes:
    body = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return struct.pack("<Q", len(body)) + body + b"\0" * 8


def saved_bytes() -> bytes:
    out = io.BytesIO()
    torch.save({"net": {"w": torch.zeros(2)}}, out)
    return out.getvalue()


GLOVE = "".join(f"{word} {' '.join(['0.5'] * 300)}\n" for word in WORDS).encode()
READERS: dict[str, tuple[bytes, Callable[[Path], object]]] = {
    "a.json": (b'{"a": [1, 2.5, null, "x"], "b": {}}', read_json),
    "a.toml": (b'kind = "x"\nlist = [1, 2]\n[table]\na = 1979-05-27\n', read_toml),
    "a.npy": (npy(JOINTS), read_npy),
    "b.npy": (npy(JOINTS), lambda path: read_npy(path, mapped=True)),
    "a.npz": (npz(joints=JOINTS, fps=20.0), lambda path: read_npz(path, ("joints",), optional=("fps",))),
    "b.npz": (npz(compressed=True, joints=JOINTS), load_clip),
    "a.safetensors": (safetensors_bytes(), read_safetensors),
    "b.safetensors": (safetensors_bytes(), load_tensors),
    "c.safetensors": (safetensors_bytes(), load_metadata),
    "a.tar": (saved_bytes(), load_state_dicts),
    "opt.txt": (b"--- Options ---\nnb_code: 512\nnorm: None\n--- End ---\n", read_options),
    "a.pkl": (pickle.dumps(WORDS), read_words),
    "glove.txt": (GLOVE, GloVeWords),
    "p.txt": (b"a person walks#60\nwave#NA\n", read_prompt_file),
    "a.bvh": (bvh(3, 3).encode(), load_clip),
    "d.txt": (deepmimic(3, 0.1).encode(), load_clip),
}


@pytest.mark.parametrize("name", READERS)
@QUICK
@given(data=st.data())
def test_a_mutated_file_is_a_value_or_one_sentence(name: str, tmp_path: Path, data: st.DataObject) -> None:
    content, read = READERS[name]
    (tmp_path / name).write_bytes(mutated(content, data))
    assert "\n" not in value_or_sentence(lambda: read(tmp_path / name))


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    assert "/dev/full" in refused(save_tensors, full / "x" / "w.safetensors", {"a": torch.zeros(3)})
