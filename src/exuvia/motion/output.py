"""How a motion file for another program is written: settings of commands, and of the studio's downloads."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from exuvia.config import FrameRate, settings
from exuvia.errors import ConfigError

if TYPE_CHECKING:
    from exuvia.motion.clip import Clip

UNITS_M = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 0.001, "inch": 0.0254}
SKELETONS = (".bvh", ".glb")
"""Formats that hold a skeleton."""


@settings(kw_only=True)
class Output:
    """Rig, unit, rate and form of the written motion."""

    rig: Literal["exact", "smpl", "mixamo", "unity", "unreal"] = "exact"
    """Names and rest pose of the skeleton in .bvh and .glb files; `exact` has extra nodes for an exact pose."""
    root_bone: bool = False
    """Whether a bone on the floor carries the pelvis in .bvh and .glb files; `unreal` always has one."""
    unit: Literal["m", "dm", "cm", "mm", "inch"] = "m"
    """Unit of .bvh files."""
    in_place: bool = False
    """Whether the pelvis stays above the origin."""
    loop: bool = False
    """Whether the last pose equals the first; the end blends into the start, which shortens the motion by 0.4 s."""
    fps: FrameRate | None = None
    """Frames per second of the files; without it, those of the motion."""
    origin: bool = True
    """Whether .bvh and .glb files state prompt, seed, generator, edits, concept and licence."""

    def check(self, suffixes: Iterable[str]) -> None:
        """Raise ConfigError for settings that none of the formats can follow."""
        written = set(suffixes)
        found = f"found {' '.join(sorted(written))}"
        if (self.rig != "exact" or self.root_bone) and not written & set(SKELETONS):
            raise ConfigError(f"{found}, which has no skeleton; pass rig= or root_bone= for .bvh or .glb")
        if self.unit != "m" and ".bvh" not in written:
            raise ConfigError(f"{found}, which is in metres; pass unit= for .bvh")

    def finished(self, clip: "Clip") -> "Clip":
        """The clip at the rate, in place and looped, as asked for."""
        from exuvia.motion.finish import in_place, looped

        clip = clip.resampled(self.fps) if self.fps else clip
        clip = looped(clip) if self.loop else clip
        return in_place(clip) if self.in_place else clip

    def save(self, clip: "Clip", target: Path) -> Path:
        """Write a finished clip."""
        suffix = target.suffix.lower()
        options = self._skeleton() if suffix in SKELETONS else {}
        return clip.save(target, **options, **({"unit_m": UNITS_M[self.unit]} if suffix == ".bvh" else {}))

    def save_all(self, clips: Sequence["Clip"], target: Path) -> Path:
        """Write finished clips as the animations of one .glb file."""
        from exuvia.motion.glb_writer import write_glb_clips

        write_glb_clips(clips, target, **self._skeleton())
        return target

    def _skeleton(self) -> dict[str, Any]:
        return {"rig": self.rig, "root_bone": self.root_bone, "origin": self.origin}
