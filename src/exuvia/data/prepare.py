"""`prepare`: any source of motion -> one store with features and mirrored twins; a killed run can be resumed.

    source -> shards of 256 clips (read, checked, mirrored, encoded) -> columns -> OUT, put in place by one rename

HumanML3D mirrors all its clips ([guo2022humanml3d], Sec. 3). Here only train clips get mirrored twins, so that
validation and test sets hold real motion.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np

from exuvia import __version__
from exuvia.cache import stable_hash
from exuvia.data.motion_files import MotionFiles
from exuvia.data.ready import Item, make_ready
from exuvia.data.shards import DamagedShard, Skipped, assemble, is_whole, write_shard
from exuvia.data.sources import Source
from exuvia.data.store import Store
from exuvia.data.synthetic import SyntheticClips
from exuvia.errors import ConfigError, DataError, OutputError
from exuvia.features.representation import Representation
from exuvia.files import as_output_error, locked
from exuvia.motion.source import Source as FileFacts
from exuvia.registry import DATA_SET, REPRESENTATION, resolve

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Function that is called with (clips done, clips in total)."""
SHARD_CLIPS = 256
"""Source clips per shard; a killed run loses at most this many."""


def prepare(
    source: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    mirror: bool = True,
    commercial: bool = False,
    representation: str = "humanml3d",
    limit: int | None = None,
    seed: int = 0,
    count: int = 1000,
    motion: FileFacts = FileFacts(),  # noqa: B008
    progress: Progress | None = None,
) -> Store:
    """Prepare a data set: convert clips of any source to one store, and open it.

    Running it again does nothing; after a kill, it continues where the first run stopped and writes the same bytes.

    Args:
        source: a folder in HumanML3D's layout, a folder with clips.npz and clips.jsonl, a folder of motion files,
            one motion file, the word `synthetic`, or several of these (a list, or joined with '+').
        mirror: add mirrored twins of train clips, unless the source already has twins.
        commercial: leave out clips whose licence does not allow commercial use, see data/licences.toml.
        limit: use at most this many clips, evenly spread over the source.
        seed, count: seed of synthetic motion and of splits by hash, and number of synthetic clips.
        motion: facts that motion files do not state.
    Raises:
        DataError: the source cannot be read, or none of its clips can be used.
        ConfigError: a setting is wrong, or `out` was made with other settings or from another source.
        OutputError: `out` cannot be written, or another process is writing it.
    """
    target = Path(os.path.realpath(out))
    layout: Representation = resolve(REPRESENTATION, representation, "representation")
    if limit is not None and limit < 1:
        raise ConfigError(f"found limit {limit}, expected at least 1 clip")
    sources = [open_source(place, layout, seed=seed, count=count, motion=motion) for place in _source_list(source)]
    settings = {"representation": representation, "mirror": mirror, "limit": limit, "commercial": commercial}
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        return _existing(target, sources, settings)
    prints = [part.fingerprint() for part in sources]
    about = {"representation": representation, "fps": layout.fps, "settings": settings, "source": prints}
    about |= {"source_stamp": [part.stamp() for part in sources], "code_version": __version__}
    items, duplicates = plan(sources, mirror, limit, commercial)
    with _work_folder(target, stable_hash([settings, prints, SHARD_CLIPS, __version__])) as work:
        shards = _write_shards(items, duplicates, work, layout, progress)
        if target.exists():
            target.rmdir()  # it is empty, as checked above
        assemble(shards, target, work, layout.skeleton.num_joints, layout.dim, about)
    store = Store.open(target)
    if store.manifest["skipped"]:
        number = len(store.manifest["skipped"])
        logger.warning("%d clips could not be used; see 'skipped' in %s", number, target / "manifest.json")
    return store


def open_source(
    source: str | Path,
    layout: Representation,
    seed: int = 0,
    count: int = 1000,
    motion: FileFacts = FileFacts(),  # noqa: B008
) -> Source:
    """Open the source that a word, folder or file names. Raises DataError if it is not a source."""
    place = Path(source)
    if str(source) == "synthetic":
        return SyntheticClips(count, seed)
    if not place.exists():
        raise DataError(f"{place} does not exist; expected a data set folder, a motion file or the word synthetic")
    for name in DATA_SET if place.is_dir() else ():
        kind = resolve(DATA_SET, name, "layout of a data set")
        if kind.fits(place):
            return cast(Source, kind(place, layout))
    return MotionFiles(place, layout.fps, seed, motion)


def plan(
    sources: Sequence[Source], mirror: bool, limit: int | None, commercial: bool = False
) -> tuple[list[Item], list[Skipped]]:
    """Choose the clips to use, in order; and list clips that have the id of an earlier one."""
    seen: set[str] = set()
    items, duplicates = [], []
    every = {name for source in sources for name in source.ids}
    for source in sources:
        for number, name in enumerate(source.ids):
            if name in seen:
                duplicates.append(Skipped(name, "its id is already taken by an earlier clip"))
                continue
            seen.add(name)
            items.append(Item(source, number, mirror and not source.has_twins and f"M{name}" not in every, commercial))
    if limit is not None and limit < len(items):
        items = [items[k] for k in np.arange(limit) * len(items) // limit]
    return items, duplicates


def _source_list(source: str | Path | Sequence[str | Path]) -> list[str | Path]:
    if isinstance(source, str) and not Path(source).exists():
        return [part.strip() for part in source.split("+")]
    if isinstance(source, (str, Path)):
        return [source]
    if not source:
        raise ConfigError("found an empty list of sources, expected at least one")
    return list(source)


def _existing(target: Path, sources: list[Source], settings: dict[str, Any]) -> Store:
    """Open the store at `target` if it is the requested one. Raises ConfigError or OutputError if it is not."""
    if not (target / "manifest.json").is_file():
        raise OutputError(f"{target} exists and is not a prepared data set; name a new folder, or remove it")
    store = Store.open(target)
    old = {"commercial": False, **store.manifest["settings"]}
    changed = [f"{name} {old.get(name)!r}, not {value!r}" for name, value in settings.items() if old.get(name) != value]
    if changed:
        raise ConfigError(f"{target} was prepared with {'; '.join(changed)}; remove it or name another folder")
    if store.manifest["source_stamp"] != [source.stamp() for source in sources]:
        if store.manifest["source"] != [source.fingerprint() for source in sources]:
            raise ConfigError(f"{target} was prepared from another source; remove it or name another folder")
    shutil.rmtree(_work_place(target), ignore_errors=True)  # a run that was killed after its last step left it
    logger.info("%s is already prepared; nothing to do", target)
    return store


def _work_place(target: Path) -> Path:
    return target.parent / f".{target.name}.work"


@contextmanager
def _work_folder(target: Path, key: str) -> Iterator[Path]:
    """Lock a folder for unfinished work next to `target`; remove it when the block ends or refuses the source.

    After a kill, a stop, a full disk or a damaged shard it stays, and the next run continues from it. Work that a run
    with another source or other settings left is removed first.
    """
    work = _work_place(target)
    with as_output_error(target), locked(work):
        for path in work.iterdir():
            if path.is_dir() and path.name != key:
                shutil.rmtree(path)
        (work / key).mkdir(exist_ok=True)
        try:
            yield work / key
        except (DamagedShard, OutputError):
            raise  # the next run continues from this folder
        except Exception:
            shutil.rmtree(work, ignore_errors=True)
            raise
        shutil.rmtree(work)


def _write_shards(
    items: Sequence[Item], duplicates: Sequence[Skipped], work: Path, layout: Representation, progress: Progress | None
) -> list[Path]:
    """Write the shards that do not exist yet, and return the paths of all."""
    paths = []
    for start in range(0, max(len(items), 1), SHARD_CLIPS):
        path = work / f"shard-{start // SHARD_CLIPS:05d}.npz"
        part = items[start : start + SHARD_CLIPS]
        if not is_whole(path):
            ready, skipped = make_ready(part, layout)
            write_shard(path, ready, [*skipped, *(duplicates if start == 0 else ())])
        paths.append(path)
        if progress is not None:
            progress(start + len(part), len(items))
    return paths
