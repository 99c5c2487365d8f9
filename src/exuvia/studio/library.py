"""Generators, motions and marks: what the studio keeps. Users name all of them by ids; places on the disk stay here."""

import hashlib
import io
import logging
import shutil
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update

from exuvia.checkpoint import find_pipeline, read_config
from exuvia.config import from_dict
from exuvia.errors import ConfigError, ExuviaError, OutputError
from exuvia.files import sha256_file, whole_file
from exuvia.motion.clip import Clip
from exuvia.pipeline.settings import GenerationConfig
from exuvia.readers import read_npy
from exuvia.studio.database import jobs, marks, motions, pipelines
from exuvia.studio.queue import Unknown, new_id
from exuvia.studio.schemas import GeneratorView, Motion
from exuvia.studio.settings import Settings
from exuvia.tokens.settings import RVQVAEConfig

log = logging.getLogger(__name__)

LABELS = ("violent", "fine", "false_alarm")
"""What a user may say of a motion: it shows the concept, it does not, or the classifier is wrong about it."""
UNSEEN: dict[str, Any] = {"codes": [], "replaced": [], "counts": {}, "concept": None}
UNSEEN |= {"contacts": "", "moments": None, "intervals": None}
"""`detail` of a motion that nothing has looked at; see analysis.py."""


class Generator(GeneratorView):
    """A generator with where it lies."""

    place: str
    """Folder for `MotionPipeline.from_pretrained`, empty if the studio was started without it; never shown."""
    weights: str | None
    """`weights_of` what may be loaded under this id."""


_GENERATOR = [pipelines.c[name] for name in Generator.model_fields]
_MOTION = [
    motions.c.pipeline.label("generator"),
    *(motions.c[name] for name in ("id", "job", "prompt", "seed", "frames", "fps", "violence", "detail")),
    *(marks.c[name] for name in ("label", "note")),
]


class Library:
    """The tables of generators, motions and marks."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine, self.settings = engine, settings
        self.edited = settings.folder / "generators"

    # generators

    def offer(self) -> None:
        """Bring the table in line with what the studio was started with; edited generators stay.

        An id belongs to a key, the name that the studio was started with, and to the weights that were found under it.
        Other weights get an id of their own; the old one waits until its weights are given again.
        """
        given = {"base": ("shipped", "base")} | {n: ("given", str(p)) for n, p in self.settings.pipelines.items()}
        with self.engine.begin() as link:
            rows = link.execute(select(pipelines)).all()
            old = sorted((row for row in rows if row.origin != "edited"), key=lambda row: row.created, reverse=True)
            link.execute(update(pipelines).where(pipelines.c.origin != "edited").values(place=""))
            for key, (origin, place) in given.items():
                now = _measured(place)
                same = [row for row in old if row.key == key and now["weights"] in (row.weights, None)]
                nameless = [row for row in old if row.key is row.weights is None]
                same += [row for row in nameless if (row.origin, row.place) == (origin, place)]
                if same:
                    now["weights"] = now["weights"] or same[0].weights
                    link.execute(update(pipelines).where(pipelines.c.id == same[0].id).values(key=key, **now))
                    continue
                values = {"id": new_id(), "name": key, "key": key, "origin": origin, "kept": True} | now
                link.execute(insert(pipelines).values(created=time.time(), **values))
            for row in rows:  # edited by a studio that did not look at weights yet
                if row.origin == "edited" and row.weights is None:
                    now = _measured(self.place_for(row.id), _dict(row.facts))
                    link.execute(update(pipelines).where(pipelines.c.id == row.id).values(**now))

    def generators(self) -> list[Generator]:
        """All, the shipped and given ones first, then edited ones, newest first."""
        with self.engine.connect() as link:
            rows = [self._generator(row) for row in link.execute(select(*_GENERATOR).where(pipelines.c.place != ""))]
        order = {"shipped": 0, "given": 1, "edited": 2}
        return sorted(rows, key=lambda one: (order[one.origin], one.created * (-1 if one.origin == "edited" else 1)))

    def generator(self, name: str) -> Generator:
        """One by its id. Raises Unknown."""
        with self.engine.connect() as link:
            row = link.execute(select(*_GENERATOR).where(pipelines.c.id == name)).one_or_none()
        if row is None:
            raise Unknown(f"there is no generator {name[:40]!r} here; it may have been thrown away")
        if not row.place:
            why = "the studio was started without it, or its files changed"
            raise Unknown(f"the generator {row.name!r} is not on offer: {why}")
        return self._generator(row)

    def _generator(self, row: Row[Any]) -> Generator:
        place = str(self.place_for(row.id)) if row.origin == "edited" else row.place
        return Generator(**dict(row._mapping) | {"place": place, "facts": _dict(row.facts)})

    def free_name(self, wanted: str) -> str:
        """A name, with a number where it is taken."""
        taken = {one.name for one in self.generators()}
        return next(name for n in range(1, 10_000) if (name := wanted if n == 1 else f"{wanted} {n}") not in taken)

    def place_for(self, name: str) -> Path:
        """Where an edited generator of this id is kept."""
        return self.edited / name

    def add_edited(self, link: Connection, name: str, title: str, parent: str, job: str, facts: dict[str, Any]) -> None:
        """Enter a generator whose folder is complete."""
        values = {"id": name, "name": title, "origin": "edited", "parent": parent, "job": job}
        values |= _measured(self.place_for(name), facts)
        link.execute(insert(pipelines).values(created=time.time(), **values))

    def keep(self, name: str, title: str | None, kept: bool | None) -> Generator:
        """Rename a generator, or mark it as one to keep."""
        changes = {key: value for key, value in (("name", title), ("kept", kept)) if value is not None}
        self.generator(name)
        with self.engine.begin() as link:
            if changes:
                link.execute(update(pipelines).where(pipelines.c.id == name).values(**changes))
        return self.generator(name)

    def throw_away(self, name: str) -> None:
        """Delete an edited generator and its folder; its motions stay. Raises ConfigError for any other."""
        one = self.generator(name)
        if one.origin != "edited":
            raise ConfigError(f"{one.name!r} was not made here and stays; only edited generators can be thrown away")
        with self.engine.begin() as link:
            link.execute(delete(pipelines).where(pipelines.c.id == name))
        self.discard(name)
        self.place_for(name).with_suffix(".zip").unlink(missing_ok=True)

    def discard(self, name: str) -> None:
        """Delete the folder of a generator."""
        shutil.rmtree(self.place_for(name), ignore_errors=True)

    # motions

    def add_motions(self, link: Connection, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Enter motions; each row has `clip` and the columns of the table. Returns their ids."""
        made, now = [], time.time()
        for row in rows:
            values = {"number": 0, "job": None, "pipeline": None, "created": now} | dict(row)
            clip = values.pop("clip")
            values |= {"id": new_id(), "joints": packed(clip), "fps": float(clip.fps), "frames": clip.frames}
            made.append(values)
        if made:
            link.execute(insert(motions), made)
        return [str(row["id"]) for row in made]

    def forget_job(self, job: str) -> None:
        """Delete a job with its motions and what was said of them."""
        with self.engine.begin() as link:
            link.execute(delete(jobs).where(jobs.c.id == job))

    def forget_motions(self, job: str) -> None:
        """Delete the motions of a job that makes them anew."""
        with self.engine.begin() as link:
            link.execute(delete(motions).where(motions.c.job == job))

    def archive(self, generator: str) -> Path:
        """An edited generator's folder as a zip archive beside it, made when it is first asked for."""
        target = self.place_for(generator).with_suffix(".zip")
        if not target.exists():
            with whole_file(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as out:
                for path in sorted(self.place_for(generator).iterdir()):
                    out.write(path, path.name)
        return target

    def motion(self, name: str) -> Motion:
        """One by its id. Raises Unknown."""
        found = self._motions(motions.c.id == name)
        if not found:
            raise Unknown(f"there is no motion {name[:40]!r} here")
        return found[0]

    def motions_of(self, job: str) -> list[Motion]:
        """All of a job, in the order in which they were asked for."""
        return self._motions(motions.c.job == job)

    def named(self, names: Sequence[str]) -> list[Motion]:
        """Motions of these ids, in their order; unknown ones are left out."""
        found = {one.id: one for one in self._motions(motions.c.id.in_(names))}
        return [found[name] for name in names if name in found]

    def _motions(self, where: Any) -> list[Motion]:
        wanted = select(*_MOTION).outerjoin(marks, marks.c.motion == motions.c.id)
        with self.engine.connect() as link:
            rows: list[Row[Any]] = list(link.execute(wanted.where(where).order_by(motions.c.created, motions.c.number)))
        return [one for row in rows if (one := _motion(row)) is not None]

    def clip(self, name: str) -> Clip:
        """The motion itself. Raises Unknown."""
        one = self.motion(name)
        with self.engine.connect() as link:
            packed_joints = link.scalar(select(motions.c.joints).where(motions.c.id == name))
        joints = read_npy(io.BytesIO(packed_joints or b""), "a motion of the studio")
        return Clip(joints, fps=one.fps, caption=one.prompt, meta={"prompt": one.prompt, "seed": one.seed})

    def count_motions(self) -> int:
        """How many motions there are."""
        with self.engine.connect() as link:
            return int(link.scalar(select(func.count()).select_from(motions)) or 0)

    # marks

    def mark(self, motion: str, label: str | None, note: str = "") -> None:
        """Say what a motion shows; None takes it back. Raises Unknown, and ConfigError for another label."""
        self.motion(motion)
        if label is not None and label not in LABELS:
            raise ConfigError(f"found the label {label[:40]!r}, expected one of {', '.join(LABELS)}")
        with self.engine.begin() as link:
            link.execute(delete(marks).where(marks.c.motion == motion))
            if label is not None:
                link.execute(insert(marks).values(motion=motion, label=label, note=note, changed=time.time()))


def _motion(row: Row[Any]) -> Motion | None:
    """A row's motion; None, and a line in the log, where the row is damaged."""
    try:
        return Motion(**dict(row._mapping) | {"detail": UNSEEN | _dict(row.detail)})
    except ValidationError:
        log.warning("the motion %s is damaged and left out", row.id)
        return None


def _dict(cell: Any) -> dict[str, Any]:
    return cell if isinstance(cell, dict) else {}


def weights_of(folder: str | Path) -> str:
    """Hex SHA-256 over everything in a generator's folder that decides its motions. Raises OSError."""
    all_files = sorted(Path(folder).iterdir())
    files = [path for path in all_files if path.name == "config.json" or path.suffix == ".safetensors"]
    return hashlib.sha256("".join(f"{path.name} {sha256_file(path)}\n" for path in files).encode()).hexdigest()


def _measured(place: str | Path, facts: Mapping[str, Any] = {}) -> dict[str, Any]:
    """Columns that say what lies at a place now; without weights where nothing that can be loaded does."""
    now: dict[str, Any] = {"place": str(place), "weights": None, "facts": dict(facts)}
    try:
        folder = find_pipeline(place)
        now |= {"place": str(folder), "weights": weights_of(folder)}
        config = read_config(folder, "pipeline")
        how = from_dict(GenerationConfig, config["generation"])
        stride = from_dict(RVQVAEConfig, config["tokenizer"]).stride
        now["facts"]["frames"] = [how.min_steps * stride, how.max_steps * stride]
    except (ExuviaError, OSError, KeyError, TypeError, AttributeError) as error:
        log.error("the generator at %s cannot be used: %s", place, error)
    return now


def packed(clip: Clip) -> bytes:
    """Joints as the bytes of an .npy file. Raises OutputError for what has no finite joints."""
    if not np.isfinite(clip.joints).all():
        raise OutputError("a motion with joints that are no numbers was not kept")
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(clip.joints, np.float32))
    return out.getvalue()
