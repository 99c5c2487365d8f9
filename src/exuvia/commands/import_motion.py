"""`exuvia import motion`: motion-capture files -> clips of 22 joints, in metres."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from exuvia.commands.formats import written_suffix
from exuvia.commands.switches import SourceSwitches, in_switches
from exuvia.config import FrameRate, settings
from exuvia.errors import ConfigError, ExuviaError


@settings
class ImportConfig(SourceSwitches):
    """Which files to read, and what they do not say themselves."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE ...")]
    """.bvh, .amc (its .asf beside it), .npy, .npz or DeepMimic .txt files."""
    out: Path
    """One file, by suffix, for one motion; else a folder."""
    format: str = "npy"
    """Format of the files in a folder."""
    fps: FrameRate = 20.0
    """Frames a second of the clips written."""
    normalise_scale: bool = False
    """Scale every body so that thigh and shin are 0.80 m together."""


def import_motion(config: ImportConfig) -> int:
    """Read motion files, bring them to the 22 joints, metres and rate of HumanML3D, and write them.

    A file that cannot be read is named and left out; the others are written, and the exit code is 2.
    """
    from exuvia.motion.load import load_clip

    source = config.as_source()
    pairs = targets(config)
    failed = 0
    for path, target in pairs:
        try:
            clip = load_clip(path, config.fps, source=source, normalise_scale=config.normalise_scale)
        except ExuviaError as error:
            failed += 1
            print(in_switches(str(error), config), file=sys.stderr)
            continue
        clip.save(target)
        print(f"{target}  {clip.frames} frames, {clip.duration_s:.1f} s")
    if failed:
        print(f"{failed} of {len(pairs)} files were left out", file=sys.stderr)
    return 2 if failed else 0


def targets(config: ImportConfig) -> list[tuple[Path, Path]]:
    """Every input file with its output file. Raises ConfigError, see `import_motion`."""
    if not config.files:
        raise ConfigError("found no file, expected at least one motion file")
    single = bool(config.out.suffix) and not config.out.is_dir()
    suffix = written_suffix(config.out.suffix if single else config.format)
    if single:
        if len(config.files) > 1:
            raise ConfigError(f"found {len(config.files)} files for {config.out}, expected one; give a folder as --out")
        return [(config.files[0], config.out)]
    pairs = [(path, config.out / f"{path.stem}{suffix}") for path in config.files]
    names = [target.name for _, target in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"several files would become {', '.join(twice[:3])}; import them into different folders")
    return pairs
