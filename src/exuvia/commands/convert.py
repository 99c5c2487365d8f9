"""`exuvia convert A B`: converts a motion file, or a folder of them, to another format."""

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from exuvia.commands.switches import SourceSwitches, in_switches, show_warnings_in_switches, written_suffix
from exuvia.config import Workers, settings
from exuvia.errors import ConfigError, DataError, ExuviaError
from exuvia.motion.output import Output
from exuvia.progress import progress_bar
from exuvia.registry import IMPORTER


@settings
class ConvertConfig(Output, SourceSwitches):
    """Files to convert, and options."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """Motion file, or a folder, of which all motions are converted, including sub-folders."""
    target: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="TARGET")] = None
    """Output file, or for a folder the output folder, in which names are kept, or one .glb file for all motions."""
    explain: bool = False
    """Whether to only print how a file is understood: joints, unit, upward axis, rate, and how sure that is."""
    to: str | None = None
    """Format of the files in an output folder, such as glb."""
    foot_lock: bool = False
    """Whether to hold standing feet still, as far as this does not increase jerk."""
    overwrite: bool = False
    """Whether to replace existing files."""
    workers: Workers = 1
    """Number of processes, for folders."""


@dataclass(frozen=True)
class Done:
    """Result for one file."""

    source: Path
    target: Path
    problem: str = ""
    note: str = ""


def convert(config: ConvertConfig) -> None:
    """Convert a motion file, or all readable files of a folder, to another format."""
    from exuvia.motion.load import explain, load_clip

    if not config.source.exists():
        raise DataError(f"{config.source} does not exist; expected a motion file or a folder of them")
    show_warnings_in_switches(config)
    if config.explain:
        if not config.source.is_file():
            raise ConfigError(f"{config.source} is a folder, expected one motion file for --explain")
        print(in_switches(explain(load_clip(config.source, config.fps, source=config.as_source())), config))
        return
    if config.target is None:
        raise ConfigError(f"found no TARGET for {config.source}, expected an output file or folder")
    jobs = list(_jobs(config, config.target))
    if not config.overwrite:
        there = [target for target in dict.fromkeys(target for _, target in jobs) if target.exists()]
        if there:
            raise ConfigError(f"{there[0]} exists already ({len(there)} of {len(jobs)}); --overwrite replaces files")
    config.check(target.suffix.lower() for _, target in jobs)
    work = partial(_convert, config=config)
    if len({target for _, target in jobs}) < len(jobs):
        clips = [_read(source, config)[0] for source, _ in jobs]
        print(f"{config.save_all(clips, jobs[0][1])}: {len(clips)} motions")
        return
    if config.source.is_file():
        only = work(jobs[0], fail=True)
        print(f"{only.target}{only.note}")
        return
    done: list[Done] = []
    with progress_bar("convert", "files") as progress:
        for one in _each(work, jobs, config.workers):
            done.append(one)
            progress(len(done), len(jobs))
    bad = [one for one in done if one.problem]
    for one in bad:
        print(f"{one.source}: {in_switches(one.problem, config)}", file=sys.stderr)
    print(f"{config.target}: {len(done) - len(bad)} motions")
    if bad:
        raise DataError(f"{len(bad)} of {len(done)} files could not be converted; they are named above")


def _jobs(config: ConvertConfig, out: Path) -> Iterator[tuple[Path, Path]]:
    """Sources and targets, in the order of their names. Raises ConfigError, DataError."""
    if config.source.is_file():
        yield config.source, out
        written_suffix(out.suffix)
        return
    together = out.suffix.lower() == ".glb" and not config.to
    if not (config.to or together):
        raise ConfigError(f"{config.source} is a folder; name the format of the files in {out} with --to")
    suffix = written_suffix(config.to or out.suffix)
    files = [path for path in sorted(config.source.rglob("*")) if path.suffix.lower() in IMPORTER and path.is_file()]
    if not files:
        raise DataError(f"{config.source} holds no motion file ({' '.join(sorted(IMPORTER))})")
    if together:
        yield from ((path, out) for path in files)
        return
    targets = [out / path.relative_to(config.source).with_suffix(suffix) for path in files]
    twice = {target for target in targets if targets.count(target) > 1}
    for path, target in zip(files, targets, strict=True):
        yield path, target.with_name(path.name.replace(".", "_") + suffix) if target in twice else target


def _each(work: Any, jobs: list[tuple[Path, Path]], workers: int) -> Iterator[Done]:
    if workers < 2:
        yield from map(work, jobs)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(work, jobs)


def _convert(job: tuple[Path, Path], *, config: ConvertConfig, fail: bool = False) -> Done:
    """Convert one file; errors are returned, or raised if `fail` is set."""
    source, target = job
    try:
        clip, note = _read(source, config)
        target.parent.mkdir(parents=True, exist_ok=True)
        config.save(clip, target)
    except ExuviaError as error:
        if fail:
            raise
        return Done(source, target, problem=str(error))
    return Done(source, target, note=note)


def _read(source: Path, config: ConvertConfig) -> tuple[Any, str]:
    """The finished clip of a file, and a note on its feet if they were locked."""
    from exuvia.motion.foot_lock import lock_feet
    from exuvia.motion.load import load_clip

    clip, note = load_clip(source, config.fps, source=config.as_source()), ""
    if config.foot_lock:
        locked = lock_feet(clip)
        clip = locked.clip
        before, after = 100 * locked.skate_before_m_per_s, 100 * locked.skate_after_m_per_s
        jerk = f"{locked.jerk_before_m_per_s3:.0f} to {locked.jerk_after_m_per_s3:.0f} m/s³"
        note = f": feet near the floor slide at {after:.1f} cm/s (before: {before:.1f}), jerk {jerk}"
    return config.finished(clip), note
