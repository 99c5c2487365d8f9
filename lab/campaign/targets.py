"""Targets of damaged files: readers of motion, data, text and studio. Readers of models are in models.py."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.errors import DataError
from lab.campaign.fixtures import Fixtures, body_model, made_by, put

Reader = Callable[[Any], object]


@dataclass(frozen=True)
class Target:
    """A reader with valid files."""

    name: str
    weight: float
    """Relative share of the inputs."""
    make: Callable[[Fixtures, Path], Reader]
    """Fills a folder with valid files and returns its reader; or a reader of bytes, if `kinds` has ""."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """File in the folder -> its kind (mutate.STRUCTURE, text or bytes)."""
    warm: bool = True
    """Whether it may read before a process is forked, because threads do not survive in the child."""


TARGET: dict[str, Target] = {}


KIND = {
    ".json": "json", ".jsonl": "jsonl", ".npy": "npy", ".npz": "zip", ".tar": "zip", ".pkl": "pickle", ".toml": "toml",
    ".png": "png", ".safetensors": "safetensors", ".bin": "bytes",
}  # fmt: skip
"""Suffix of a file -> its kind; others are text."""


def target(name: str, weight: float, files: str) -> Callable[[Any], Any]:
    """Register a maker of files to damage; names are separated by blanks, with `:KIND` if needed."""

    def enter(make: Callable[[Fixtures, Path], Reader]) -> Callable[[Fixtures, Path], Reader]:
        pairs = (file.partition(":") for file in files.split())
        kinds = {file: kind or KIND.get(Path(file).suffix, "text") for file, _, kind in pairs}
        TARGET[name] = Target(name, weight, make, kinds)
        return make

    return enter


def memory(name: str, weight: float, kind: str, seeds: Callable[[Fixtures], list[bytes | str]], read: Reader) -> None:
    """Register a reader of text in memory, with valid texts."""

    def make(fixtures: Fixtures, folder: Path) -> Reader:
        for number, data in enumerate(seeds(fixtures)):
            (folder / f"seed{number}").write_bytes(data.encode() if isinstance(data, str) else data)
        return lambda data: read(data.decode("utf-8", "replace"))

    TARGET[name] = Target(name, 2 * weight, make, {"": kind})


# motion


def _motion(name: str, weight: float, file: str, kind: str, fill: Callable[[Fixtures, Path], object]) -> None:
    def make(fixtures: Fixtures, folder: Path) -> Reader:
        from exuvia.motion.load import load_clip
        from exuvia.motion.source import Source

        fill(fixtures, folder)
        return lambda place: load_clip(place / file, source=Source(body_models=place / "models"))

    kinds = {file: kind} | ({"models/neutral/model.npz": "zip"} if name == "amass" else {})
    kinds |= {"m.asf": "text"} if name == "amc" else {}
    TARGET[name] = Target(name, weight, make, kinds)


def _amass(fixtures: Fixtures, folder: Path) -> None:
    body_model(folder / "models" / "neutral" / "model.npz")
    poses = np.random.default_rng(0).normal(0, 0.1, (9, 66))
    facts: Any = {"gender": np.array("neutral"), "mocap_framerate": np.array(60.0), "betas": np.zeros(10)}
    np.savez(folder / "m.npz", poses=poses, trans=np.zeros((9, 3)), **facts)


def _amc(fixtures: Fixtures, folder: Path) -> None:
    made = made_by("test_motion_asfamc")
    put(folder, {"m.asf": made.skeleton(), "m.amc": made.motion(frames=12)})


def deepmimic() -> str:
    """A motion of twelve frames."""
    made = made_by("test_motion_arrays")
    return str(made.deepmimic([made._frame(0.01 * n) for n in range(12)]))


_motion("npy", 30, "m.npy", "npy", lambda fixtures, folder: fixtures.motion(folder, ".npy"))
_motion(
    "npz", 10, "m.npz", "zip", lambda fixtures, folder: np.savez(folder / "m.npz", joints=fixtures.clip.joints, fps=20)
)
_motion("bvh", 10, "m.bvh", "text", lambda fixtures, folder: fixtures.motion(folder, ".bvh"))
_motion("amc", 10, "m.amc", "text", _amc)
_motion("deepmimic", 10, "m.txt", "json", lambda fixtures, folder: put(folder, {"m.txt": deepmimic()}))
_motion("amass", 8, "m.npz", "zip", _amass)


def enter_texts() -> None:
    """Readers of text in memory."""
    from exuvia.commands.generate import read_prompt
    from exuvia.data.captions import mirror_text, parse_caption
    from exuvia.data.concepts import find_concept
    from exuvia.data.record import ClipRecord
    from exuvia.motion.asfamc import parse_amc, parse_asf
    from exuvia.motion.bvh import parse_bvh
    from exuvia.motion.deepmimic import parse_deepmimic
    from exuvia.text.tags import tag
    from exuvia.unlearning.settings import parse_settings
    from lab.lra.listops import from_text

    made, caption = made_by("test_motion_asfamc"), "a man kicks#a/DET man/NOUN kick/VERB#0.0#nan"
    said = {"text": "x", "tokens": None, "start_s": 0.0, "end_s": 0.0}
    facts = {
        "id": "a",
        "source": "s",
        "split": "train",
        "fps": 20.0,
        "frames": 9,
        "rows": 8,
        "labels": {"violent": True},
    }
    record, edit = json.dumps(facts | {"captions": [said]}), "num_codes=16,alpha=1.0,levels=[1,2]"
    memory("bvh text", 120, "text", lambda s: [s.motion(s.root, ".bvh", 3).read_text()], parse_bvh)
    memory("asf text", 60, "text", lambda s: [made.skeleton()], parse_asf)
    memory("amc text", 60, "text", lambda s: [made.motion()], lambda text: parse_amc(text, _asf()))
    memory("deepmimic text", 60, "json", lambda s: [deepmimic()], parse_deepmimic)
    memory("record", 120, "json", lambda s: [record], ClipRecord.from_json)
    memory("prompt", 60, "text", lambda s: ["a man walks#120", "x#NA"], lambda text: read_prompt(text, "p"))
    memory("caption", 60, "text", lambda s: [caption], lambda text: mirror_text(parse_caption(text).text))
    memory("concept", 20, "text", lambda s: ["violence", "kick+throw"], find_concept)
    memory("tagger", 60, "text", lambda s: ["a person kicks the left leg twice, then sits"], tag)
    memory("listops text", 60, "text", lambda s: ["( ( ( [MAX 4 ) 3 ) ] )"], from_text)
    memory("method settings", 10, "text", lambda s: [edit], lambda text: parse_settings("lcr", text))


@cache
def _asf() -> Any:
    from exuvia.motion.asfamc import parse_asf

    return parse_asf(made_by("test_motion_asfamc").skeleton())


@cache
def _settings() -> dict[str, Any]:
    from exuvia.commands.train import RECIPE
    from exuvia.config import to_dict
    from exuvia.unlearning.settings import method_settings

    kinds = {**RECIPE, **{name: method_settings(name) for name in ("lcr", "esd", "uce")}}
    return {name: (kind, to_dict(kind())) for name, kind in kinds.items()}


def enter_settings() -> None:
    from exuvia.config import from_dict

    def read(text: str) -> object:
        try:
            tree = json.loads(text)
            kind, values = tree["kind"], tree["values"]
        except (ValueError, RecursionError, KeyError, TypeError):
            raise DataError("no JSON to begin with") from None
        return from_dict(_settings()[kind][0] if kind in ("mask", "lcr") else _settings()["tokenizer"][0], values)

    texts = [json.dumps({"kind": name, "values": _settings()[name][1]}) for name in ("tokenizer", "mask", "lcr")]
    memory("settings", 40, "json", lambda s: list(texts), read)


# data


@target("captions", 40, "m.txt")
def _captions(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.data.captions import read_captions

    put(folder, {"m.txt": "a man kicks#a/DET man/NOUN kick/VERB#0.0#0.0\nhe walks#he/PRON walk/VERB#1.0#2.0\n"})
    return lambda place: (read_captions(place / "m.txt", strict=False), read_captions(place / "m.txt"))


@target("prompts", 40, "m.txt")
def _prompts(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.commands.generate import read_prompts

    put(folder, {"m.txt": "a man kicks#120\na person walks\nshe sits#NA\n"})
    return lambda place: read_prompts(place / "m.txt")


@target("store", 10, "manifest.json clips.jsonl joints.npy features.npy")
def _store(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.data.prepare import prepare
    from exuvia.data.store import Store

    shutil.rmtree(folder)
    prepare(fixtures.mocap, folder)

    def read(place: Path) -> None:
        store = Store.open(place)
        store.select(split="train", violent=True)
        str((store.data_hash, store.keywords, store.representation.name))
        for number in range(len(store)):
            str((store.joints(number).sum(), store.features(number).sum(), store.frame_labels(number)))

    return read


def _prepared(place: Path, out: Path) -> None:
    """Prepare into a folder that is empty before and after."""
    from exuvia.data.prepare import prepare

    try:
        prepare(place, out)
    finally:
        for left in out.parent.glob(f"*{out.name}*"):
            shutil.rmtree(left, ignore_errors=True)


@target("mocap folder", 1, "clips.npz clips.jsonl")
def _mocap(fixtures: Fixtures, folder: Path) -> Reader:
    made_by("made_mocap").mocap_folder(folder, clips=2)
    return lambda place: _prepared(place, place.parent / "prepared")


@target("humanml3d folder", 1, "train.txt texts/a.txt new_joints/a.npy new_joint_vecs/a.npy")
def _humanml3d(fixtures: Fixtures, folder: Path) -> Reader:
    from exuvia.features.humanml3d import HUMANML3D

    for name in ("new_joints", "new_joint_vecs", "texts"):
        (folder / name).mkdir()
    joints = fixtures.clip.joints
    np.save(folder / "new_joints" / "a.npy", joints)
    np.save(folder / "new_joint_vecs" / "a.npy", HUMANML3D.encode([joints])[0])
    put(folder, {"train.txt": "a\n"})
    (folder / "texts" / "a.txt").write_text("a man walks#a/DET man/NOUN walk/VERB#0.0#0.0\n")
    return lambda place: _prepared(place, place.parent / "prepared")


@target("motion folder", 1, "m.bvh m.txt")
def _motions(fixtures: Fixtures, folder: Path) -> Reader:
    fixtures.motion(folder, ".bvh")
    put(folder, {"m.txt": "a man walks\n"})
    return lambda place: _prepared(place, place.parent / "prepared")


@target("listops", 30, "basic_train.tsv")
def _listops(fixtures: Fixtures, folder: Path) -> Reader:
    from lab.lra.listops import ListOpsConfig, generate, read_tsv, write_tsv

    write_tsv(folder / "basic_train.tsv", generate(6, 0, ListOpsConfig(4, 4, 4, 40)))
    return lambda place: read_tsv(place / "basic_train.tsv")


@target("imdb", 5, "train/pos/1_10.txt:bytes")
def _imdb(fixtures: Fixtures, folder: Path) -> Reader:
    from lab.lra.text import read_imdb

    for split in ("train", "test"):
        for kind in ("pos", "neg"):
            (folder / split / kind).mkdir(parents=True)
            (folder / split / kind / "1_10.txt").write_text("a fine film")
    return lambda place: read_imdb(place)


@target("cifar", 2, "data_batch_2.bin data_batch_3.png train_lables.json")
def _cifar(fixtures: Fixtures, folder: Path) -> Reader:
    from PIL import Image

    from lab.lra.image import read_cifar10

    for number, name in enumerate([f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]):
        if number == 2:
            Image.fromarray(np.zeros((2, 1024, 3), np.uint8)).save(folder / f"{name}.png")
        else:
            (folder / f"{name}.bin").write_bytes(bytes(2 * 3073))
    (folder / "train_lables.json").write_text(json.dumps([1] * 20))
    return lambda place: read_cifar10(place)


@target("pairs", 30, "new_aan_pairs.train.tsv")
def _pairs(fixtures: Fixtures, folder: Path) -> Reader:
    from lab.lra.retrieval import read_pairs

    for split in ("train", "eval", "test"):
        (folder / f"new_aan_pairs.{split}.tsv").write_text("1.0\tA\tB\tb'abc'\tb'def'\n0.0\tA\tC\tb'abc'\tb'x'\n")
    return lambda place: read_pairs(place)


# studio


@cache
def _studio(folder: Path) -> Any:
    """A client of a studio in this process, with one uploaded motion."""
    from fastapi.testclient import TestClient

    from exuvia.studio.app import create_app
    from exuvia.studio.settings import Settings

    client = TestClient(create_app(Settings(folder=folder), workers=False), base_url="http://localhost")
    client.__enter__()
    return client


def _uploading(suffix: str) -> Callable[[Fixtures, Path], Reader]:
    """Read an upload like the studio's child process."""

    def make(fixtures: Fixtures, folder: Path) -> Reader:
        from exuvia.motion.source import Source
        from exuvia.studio.reading import _read

        fixtures.motion(folder, suffix)
        return lambda place: _read(place / f"m{suffix}", 4000, Source())

    return make


for _suffix, _kind in ((".bvh", "text"), (".npz", "zip"), (".npy", "npy")):
    TARGET[f"upload {_suffix}"] = Target(f"upload {_suffix}", 4, _uploading(_suffix), {f"m{_suffix}": _kind})


def _row(column: str) -> Callable[[Fixtures, Path], Reader]:
    def make(fixtures: Fixtures, folder: Path) -> Reader:
        np.save(folder / "joints.npy", fixtures.clip.joints)
        (folder / "row.json").write_text(
            json.dumps({"motions": ["a"], "prompts": ["x"], "violence": 0.1, "moments": [[0, 1]]})
        )
        return lambda place: _show_row(place, column)

    return make


UNSEEN: Any = {"seed": None, "violence": None, "detail": {}}


def _show_row(place: Path, column: str) -> None:
    """Write bytes into a row of the database, then request everything that shows it."""
    from sqlalchemy import text

    from exuvia.motion.load import load_clip

    client = _studio(place.parent / "studio")
    library = client.app.state.context.library
    if library.count_motions() == 0:
        job = client.app.state.context.queue.submit("look", "quick", {"file": "m.npy"})
        with library.engine.begin() as link:
            library.add_motions(
                link, [{"clip": load_clip(place / "joints.npy"), "prompt": "x", "job": job.id, **UNSEEN}]
            )
    table, name = column.split(".")
    value: object = (place / "joints.npy").read_bytes()
    if name != "joints":
        value = (place / "row.json").read_bytes().decode("utf-8", "replace").replace("\0", "")
    with library.engine.begin() as link:
        link.execute(text(f"UPDATE {table} SET {name} = :value"), {"value": value})
        job, motion = (link.execute(text(f"SELECT id FROM {of}")).scalar() for of in ("jobs", "motions"))
    for path in ("jobs", f"jobs/{job}", f"motions/{motion}", f"motions/{motion}/file?form=npy"):
        if client.get(f"/api/v1/{path}").status_code >= 500:
            raise RuntimeError(f"/{path.replace(str(job), 'JOB').replace(str(motion), 'MOTION')} answered with 500")


for _column in ("motions.joints", "motions.detail", "jobs.request", "jobs.result"):
    _of = {"joints.npy": "npy"} if _column == "motions.joints" else {"row.json": "json"}
    TARGET[f"row {_column}"] = Target(f"row {_column}", 1, _row(_column), _of, False)
