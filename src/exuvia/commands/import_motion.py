"""`exuvia import motion`: converts motion-capture files to clips of 22 joints, in metres."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from exuvia.commands.switches import SourceSwitches, in_switches, show_warnings_in_switches, written_suffix
from exuvia.config import FrameRate, settings
from exuvia.errors import ConfigError, ExuviaError


@settings
class ImportConfig(SourceSwitches):
    """Files to read, and facts that they do not state."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE ...")]
    """.bvh, .glb, .fbx, .c3d, .amc (with its .asf in the same folder), .npy, .npz or DeepMimic .txt files."""
    out: Path
    """Output file for one motion; else a folder."""
    format: str = "npy"
    """Format of the files in an output folder."""
    fps: FrameRate = 20.0
    """Frames per second of the output."""
    normalise_scale: bool = False
    """Whether to scale every body to 0.80 m for thigh and shin together."""


def import_motion(config: ImportConfig) -> int:
    """Convert motion files to the 22 joints, units and frame rate of HumanML3D.

    Files that cannot be read are named and skipped; the others are written, and the exit code is 2.
    """
    from exuvia.motion.load import load_clip

    show_warnings_in_switches(config)
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
        print(f"{failed} of {len(pairs)} files were skipped", file=sys.stderr)
    return 2 if failed else 0


def targets(config: ImportConfig) -> list[tuple[Path, Path]]:
    """Pairs of input and output files. Raises ConfigError if there are none, or if outputs would collide."""
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
