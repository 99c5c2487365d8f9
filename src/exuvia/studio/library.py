"""Generators, motions and marks: what the studio keeps. Users name all of them by ids; places on the disk stay here."""

import io
import shutil
import time
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update

from exuvia.errors import ConfigError, OutputError
from exuvia.files import whole_file
from exuvia.motion.clip import Clip
from exuvia.readers import read_npy
from exuvia.studio.database import jobs, marks, motions, pipelines
from exuvia.studio.queue import Unknown, new_id
from exuvia.studio.schemas import GeneratorView, Motion
from exuvia.studio.settings import Settings

LABELS = ("violent", "fine", "false_alarm")
"""What a user may say of a motion: it shows the concept, it does not, or the classifier is wrong about it."""


UNSEEN: dict[str, Any] = {"codes": [], "replaced": [], "counts": {}, "concept": None}
UNSEEN |= {"contacts": "", "moments": None, "intervals": None}
"""`detail` of a motion that nothing has looked at; see analysis.py."""


class Generator(GeneratorView):
    """A generator with where it lies."""

    place: str
    """Name or folder for `MotionPipeline.from_pretrained`; never shown."""


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
        """Bring the table in line with what the studio was started with; edited generators stay."""
        given = {"base": ("shipped", "base")} | {n: ("given", str(p)) for n, p in self.settings.pipelines.items()}
        with self.engine.begin() as link:
            known = {row.name: row.id for row in link.execute(select(pipelines).where(pipelines.c.origin != "edited"))}
            for name in known.keys() - given.keys():
                link.execute(delete(pipelines).where(pipelines.c.id == known[name]))
            for name, (origin, place) in given.items():
                if name in known:
                    link.execute(update(pipelines).where(pipelines.c.id == known[name]).values(place=place))
                    continue
                values = {"id": new_id(), "name": name, "origin": origin, "place": place, "facts": {}, "kept": True}
                link.execute(insert(pipelines).values(created=time.time(), **values))

    def generators(self) -> list[Generator]:
        """All, the shipped and given ones first, then edited ones, newest first."""
        with self.engine.connect() as link:
            rows = [Generator(**row._mapping) for row in link.execute(select(*_GENERATOR))]
        order = {"shipped": 0, "given": 1, "edited": 2}
        return sorted(rows, key=lambda one: (order[one.origin], one.created * (-1 if one.origin == "edited" else 1)))

    def generator(self, name: str) -> Generator:
        """One by its id. Raises Unknown."""
        with self.engine.connect() as link:
            row = link.execute(select(*_GENERATOR).where(pipelines.c.id == name)).one_or_none()
        if row is None:
            raise Unknown(f"there is no generator {name[:40]!r} here; it may have been thrown away")
        return Generator(**row._mapping)

    def free_name(self, wanted: str) -> str:
        """A name, with a number where it is taken."""
        taken = {one.name for one in self.generators()}
        return next(name for n in range(1, 10_000) if (name := wanted if n == 1 else f"{wanted} {n}") not in taken)

    def place_for(self, name: str) -> Path:
        """Where an edited generator of this id is kept."""
        return self.edited / name

    def add_edited(self, name: str, title: str, parent: str, job: str, facts: Mapping[str, Any]) -> None:
        """Enter a generator whose folder is complete."""
        values = {"id": name, "name": title, "origin": "edited", "place": str(self.place_for(name)), "parent": parent}
        with self.engine.begin() as link:
            link.execute(insert(pipelines).values(job=job, facts=dict(facts), created=time.time(), **values))

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
        shutil.rmtree(self.place_for(name), ignore_errors=True)
        self.place_for(name).with_suffix(".zip").unlink(missing_ok=True)

    def discard(self, name: str) -> None:
        """Delete the folder of a generator that was never entered."""
        shutil.rmtree(self.place_for(name), ignore_errors=True)

    # motions

    def add_motions(self, link: Connection, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """Enter motions; each row has `clip` and the columns of the table. Returns their ids."""
        made, now = [], time.time()
        for row in rows:
            values = dict(row)
            clip = values.pop("clip")
            values |= {"id": new_id(), "joints": packed(clip), "fps": float(clip.fps), "frames": clip.frames}
            made.append({"number": 0, "job": None, "pipeline": None} | values | {"created": now})
        if made:
            link.execute(insert(motions), made)
        return [str(row["id"]) for row in made]

    def forget_job(self, job: str) -> None:
        """Delete a job with its motions and what was said of them."""
        with self.engine.begin() as link:
            link.execute(delete(jobs).where(jobs.c.id == job))

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
        return [Motion(**row._mapping) for row in rows]

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


def packed(clip: Clip) -> bytes:
    """Joints as the bytes of an .npy file. Raises OutputError for what has no finite joints."""
    if not np.isfinite(clip.joints).all():
        raise OutputError("a motion with joints that are no numbers was not kept")
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(clip.joints, np.float32))
    return out.getvalue()
