"""Stores generators, motions and marks. Users refer to all of them by id; paths on disk never leave this module."""

import hashlib
import io
import logging
import shutil
import time
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update

from exuvia.checkpoint import find_pipeline, is_shipped, read_config
from exuvia.config import from_dict
from exuvia.errors import ConfigError, ExuviaError, OutputError
from exuvia.files import sha256_file, whole_file
from exuvia.motion.clip import Clip
from exuvia.pipeline.settings import GenerationConfig
from exuvia.readers import read_npy
from exuvia.registry import DEFAULT_GENERATOR, GENERATORS
from exuvia.studio.database import jobs, marks, motions, pipelines
from exuvia.studio.queue import Unknown, new_id
from exuvia.studio.schemas import GeneratorView, Motion
from exuvia.studio.settings import Settings
from exuvia.tokens.settings import RVQVAEConfig

logger = logging.getLogger(__name__)

EMPTY_DETAIL: dict[str, Any] = {"codes": [], "replaced": [], "counts": {}, "concept": None}
EMPTY_DETAIL |= {"contacts": "", "moments": None, "intervals": None}
"""`detail` of a motion that has not been analysed; see analysis.py."""
ABOUT: dict[str, Any] = {"origin": {}, "understood": "", "doubts": []}
"""Facts stored with `detail` that do not come from an analysis: fields of `schemas.Motion`."""


class Generator(GeneratorView):
    """A generator with its location."""

    place: str
    """Folder for `MotionPipeline.from_pretrained`, empty if the studio was started without it; never shown."""
    weights: str | None
    """`weights_of` the files that may be loaded under this id."""


_GENERATOR = [pipelines.c[name] for name in Generator.model_fields]
_MOTION = [
    motions.c.pipeline.label("generator"),
    *(motions.c[name] for name in ("id", "job", "prompt", "seed", "frames", "fps", "violence", "detail")),
    *(marks.c[name] for name in ("label", "note")),
]


class Library:
    """Access to the tables of generators, motions and marks."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine, self.settings = engine, settings
        self.edited = settings.folder / "generators"

    # generators

    def offer(self) -> None:
        """Update the table to the generators that the studio was started with; edited generators stay.

        An id stands for one key (the name given at start-up) and one set of weights. Other weights under the same key
        get a new id; the old id becomes available again when its weights do.
        """
        given = {name: ("shipped", name) for name in GENERATORS if name == DEFAULT_GENERATOR or is_shipped(name)}
        given |= {name: ("given", str(path)) for name, path in self.settings.pipelines.items()}
        with self.engine.begin() as link:
            rows = link.execute(select(pipelines)).all()
            old = sorted((row for row in rows if row.origin != "edited"), key=lambda row: row.created, reverse=True)
            link.execute(update(pipelines).where(pipelines.c.origin != "edited").values(place=""))
            for key, (origin, place) in given.items():
                now = _current(place)
                same = [row for row in old if row.key == key and now["weights"] in (row.weights, None)]
                nameless = [row for row in old if row.key is row.weights is None]
                same += [row for row in nameless if (row.origin, row.place) == (origin, place)]
                if same:
                    now["weights"] = now["weights"] or same[0].weights
                    link.execute(update(pipelines).where(pipelines.c.id == same[0].id).values(key=key, **now))
                    continue
                values = {"id": new_id(), "name": key, "key": key, "origin": origin, "kept": True} | now
                link.execute(insert(pipelines).values(created=time.time(), **values))
            for row in rows:  # from a studio that did not store hashes of weights
                if row.origin == "edited" and row.weights is None:
                    now = _current(self.place_for(row.id), _dict(row.facts))
                    link.execute(update(pipelines).where(pipelines.c.id == row.id).values(**now))

    def generators(self) -> list[Generator]:
        """Return the shipped and given generators, then the edited ones, newest first."""
        with self.engine.connect() as link:
            rows = [self._generator(row) for row in link.execute(select(*_GENERATOR).where(pipelines.c.place != ""))]
        order = {"shipped": 0, "given": 1, "edited": 2}
        return sorted(rows, key=lambda row: (order[row.origin], row.created * (-1 if row.origin == "edited" else 1)))

    def generator(self, name: str) -> Generator:
        """Return a generator by its id. Raises Unknown."""
        with self.engine.connect() as link:
            row = link.execute(select(*_GENERATOR).where(pipelines.c.id == name)).one_or_none()
        if row is None:
            raise Unknown(f"there is no generator {name[:40]!r} here; it may have been deleted")
        if not row.place:
            reason = "the studio was started without it, or its files changed"
            raise Unknown(f"the generator {row.name!r} is not available: {reason}")
        return self._generator(row)

    def _generator(self, row: Row[Any]) -> Generator:
        place = str(self.place_for(row.id)) if row.origin == "edited" else row.place
        return Generator(**dict(row._mapping) | {"place": place, "facts": _dict(row.facts)})

    def free_name(self, wanted: str) -> str:
        """Return the wanted name, with a number appended if it is taken."""
        taken = {generator.name for generator in self.generators()}
        return next(name for n in range(1, 10_000) if (name := wanted if n == 1 else f"{wanted} {n}") not in taken)

    def place_for(self, name: str) -> Path:
        """Return the folder of the edited generator with this id."""
        return self.edited / name

    def add_edited(self, link: Connection, name: str, title: str, parent: str, job: str, facts: dict[str, Any]) -> None:
        """Add a generator whose folder is complete."""
        values = {"id": name, "name": title, "origin": "edited", "parent": parent, "job": job}
        values |= _current(self.place_for(name), facts)
        link.execute(insert(pipelines).values(created=time.time(), **values))

    def keep(self, name: str, title: str | None, kept: bool | None) -> Generator:
        """Rename a generator, or mark it as a favourite to keep."""
        changes = {key: value for key, value in (("name", title), ("kept", kept)) if value is not None}
        self.generator(name)
        with self.engine.begin() as link:
            if changes:
                link.execute(update(pipelines).where(pipelines.c.id == name).values(**changes))
        return self.generator(name)

    def delete_generator(self, name: str) -> None:
        """Delete an edited generator and its folder; its motions stay. Raises ConfigError for any other generator."""
        generator = self.generator(name)
        if generator.origin != "edited":
            raise ConfigError(f"{generator.name!r} was not made here; only edited generators can be deleted")
        with self.engine.begin() as link:
            link.execute(delete(pipelines).where(pipelines.c.id == name))
        self.discard(name)
        self.place_for(name).with_suffix(".zip").unlink(missing_ok=True)

    def discard(self, name: str) -> None:
        """Delete the folder of a generator."""
        shutil.rmtree(self.place_for(name), ignore_errors=True)

    # motions

    def add_motions(self, link: Connection, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Add motions; each row has `clip` and columns of the table. Returns their ids."""
        entries, now = [], time.time()
        for row in rows:
            values = {"number": 0, "job": None, "pipeline": None, "created": now} | dict(row)
            clip = values.pop("clip")
            values |= {"id": new_id(), "joints": packed(clip), "fps": float(clip.fps), "frames": clip.frames}
            entries.append(values)
        if entries:
            link.execute(insert(motions), entries)
        return [str(entry["id"]) for entry in entries]

    def forget_job(self, job: str) -> None:
        """Delete a job with its motions and their marks."""
        with self.engine.begin() as link:
            link.execute(delete(jobs).where(jobs.c.id == job))

    def forget_motions(self, job: str) -> None:
        """Delete the motions of a job that runs again."""
        with self.engine.begin() as link:
            link.execute(delete(motions).where(motions.c.job == job))

    def archive(self, generator: str) -> Path:
        """Return an edited generator's folder as a zip archive next to it, created at the first request."""
        target = self.place_for(generator).with_suffix(".zip")
        if not target.exists():
            with whole_file(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as out:
                for path in sorted(self.place_for(generator).iterdir()):
                    out.write(path, path.name)
        return target

    def motion(self, name: str) -> Motion:
        """Return a motion by its id. Raises Unknown."""
        rows = self._motions(motions.c.id == name)
        if not rows:
            raise Unknown(f"there is no motion {name[:40]!r} here")
        return rows[0]

    def motions_of(self, job: str) -> list[Motion]:
        """Return the motions of a job in the order of its request."""
        return self._motions(motions.c.job == job)

    def _motions(self, where: Any) -> list[Motion]:
        query = select(*_MOTION).outerjoin(marks, marks.c.motion == motions.c.id)
        with self.engine.connect() as link:
            rows: list[Row[Any]] = list(link.execute(query.where(where).order_by(motions.c.created, motions.c.number)))
        return [motion for row in rows if (motion := _motion(row)) is not None]

    def clip(self, name: str) -> Clip:
        """Return a motion as a clip. Raises Unknown."""
        motion = self.motion(name)
        with self.engine.connect() as link:
            packed_joints = link.scalar(select(motions.c.joints).where(motions.c.id == name))
        joints = read_npy(io.BytesIO(packed_joints or b""), "a motion of the studio")
        made = {"prompt": motion.prompt, "seed": motion.seed} if motion.generator else {}
        return Clip(joints, fps=motion.fps, caption=motion.prompt, meta=motion.origin or made)

    def count_motions(self) -> int:
        """Return the number of motions."""
        with self.engine.connect() as link:
            return int(link.scalar(select(func.count()).select_from(motions)) or 0)

    # marks

    def mark(self, motion: str, label: str | None, note: str = "") -> None:
        """Store a user's label for a motion; None removes it. Raises Unknown."""
        self.motion(motion)
        with self.engine.begin() as link:
            link.execute(delete(marks).where(marks.c.motion == motion))
            if label is not None:
                link.execute(insert(marks).values(motion=motion, label=label, note=note, changed=time.time()))


def _motion(row: Row[Any]) -> Motion | None:
    """Return a row's motion; None, with a warning in the log, if the row is damaged."""
    try:
        detail = EMPTY_DETAIL | ABOUT | _dict(row.detail)
        about = {name: detail.pop(name) for name in ABOUT}
        return Motion(**dict(row._mapping) | about | {"detail": detail})
    except ValidationError:
        logger.warning("the motion %s is damaged and left out", row.id)
        return None


def _dict(cell: Any) -> dict[str, Any]:
    return cell if isinstance(cell, dict) else {}


def weights_of(folder: str | Path) -> str:
    """Return the SHA-256, in hex, of the files in a generator's folder that determine its motions. Raises OSError."""
    all_files = sorted(Path(folder).iterdir())
    files = [path for path in all_files if path.name == "config.json" or path.suffix == ".safetensors"]
    return hashlib.sha256("".join(f"{path.name} {sha256_file(path)}\n" for path in files).encode()).hexdigest()


def _current(place: str | Path, facts: Mapping[str, Any] = {}) -> dict[str, Any]:
    """Return the columns that describe the generator at a place; without weights if none can be loaded from there."""
    now: dict[str, Any] = {"place": str(place), "weights": None, "facts": dict(facts)}
    try:
        folder = find_pipeline(place)
        now |= {"place": str(folder), "weights": weights_of(folder)}
        config = read_config(folder, "pipeline")
        generation = from_dict(GenerationConfig, config["generation"])
        stride = from_dict(RVQVAEConfig, config["tokenizer"]).stride
        now["facts"]["frames"] = [generation.min_steps * stride, generation.max_steps * stride]
    except (ExuviaError, OSError, KeyError, TypeError, AttributeError) as error:
        logger.error("the generator at %s cannot be used: %s", place, error)
    return now


def packed(clip: Clip) -> bytes:
    """Return the joints as the bytes of an .npy file. Raises OutputError unless all joints are finite."""
    if not np.isfinite(clip.joints).all():
        raise OutputError("a motion whose joints are not finite numbers was not stored")
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(clip.joints, np.float32))
    return out.getvalue()
