"""Source of clips from motion files (BVH, ASF/AMC, arrays, DeepMimic), with captions in text files of the same name."""

from pathlib import Path

from exuvia.data.captions import Caption, read_captions
from exuvia.data.sources import FileSource, RawClip, hash_split
from exuvia.errors import DataError
from exuvia.motion.load import load_clip
from exuvia.motion.source import Source
from exuvia.registry import IMPORTER


class MotionFiles(FileSource):
    """All importable files below a folder, or one file; an id is the relative path without its suffix."""

    name = "motion-files"

    def __init__(self, place: Path, fps: float, seed: int = 0, facts: Source = Source()) -> None:  # noqa: B008
        """Find the files below a folder, or take one file; `seed` is that of the split. Raises DataError if none."""
        self.root = place if place.is_dir() else place.parent
        files = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
        self.paths = [path for path in files if _is_motion(path)]
        if not self.paths:
            known = ", ".join(sorted(IMPORTER))
            raise DataError(f"{place} holds no motion file; expected one of {known}, or a known data set folder")
        given = {name: str(value) for name, value in vars(facts).items() if value != getattr(Source(), name)}
        self.fps, self.facts, self.settings = fps, facts, {"seed": seed, **given}
        stems = [path.relative_to(self.root).with_suffix("").as_posix() for path in self.paths]
        named = zip(stems, self.paths, strict=True)
        self.ids = [stem if stems.count(stem) == 1 else f"{stem}{path.suffix}" for stem, path in named]

    def read(self, number: int) -> RawClip:
        """Read one clip and resample it; captions are those of `NAME.txt` (one per line), or the file's own."""
        path, name = self.paths[number], self.ids[number]
        clip = load_clip(path, fps=self.fps, source=self.facts)
        text = path.with_suffix(".txt")
        captions: tuple[Caption, ...] = ()
        if text != path and text.is_file():
            captions = read_captions(text, strict=False)
        elif clip.caption:
            captions = (Caption(clip.caption),)
        return RawClip(
            id=name,
            joints=clip.joints,
            split=hash_split(name, self.settings["seed"]),
            source=self.root.resolve().name,
            fps=clip.fps,
            captions=captions,
            caption_kind="human" if captions else "",
            provenance={**clip.meta, "joints": None, "file": path.relative_to(self.root).as_posix()},
        )

    def files(self) -> list[Path]:
        """Return all files that are read."""
        texts = [path.with_suffix(".txt") for path in self.paths]
        skeletons = sorted(self.root.rglob("*.asf"))
        return [*self.paths, *(text for text in texts if text.is_file() and text not in self.paths), *skeletons]


def _is_motion(path: Path) -> bool:
    """Whether a file has an importable suffix; a .txt file must be DeepMimic's JSON and not a caption."""
    if path.suffix.lower() not in IMPORTER or path.name.startswith("."):
        return False
    if path.suffix.lower() != ".txt":
        return True
    with open(path, "rb") as stream:
        return stream.read(256).lstrip()[:1] == b"{"
