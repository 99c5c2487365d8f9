"""Offline HTML pages with 3-D players: one clip, a gallery, or rows of comparisons."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, Undefined
from markupsafe import Markup

from exuvia.errors import ConfigError
from exuvia.files import write_text
from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.view.frame import facing_rad, floor_height_m, radius_m, side_of

_STEPS = 32767
_ENDS = ("left_foot", "right_foot", "left_wrist", "right_wrist")


def pack_clip(clip: Clip) -> dict[str, Any]:
    """A clip as values for JSON; joints are 16-bit steps from the centre of the clip's bounding box.

    `meta["scenes"]` (pairs of a first frame and a caption) is included, and the player shows the current caption. The
    largest rounding error is half of `scale` metres: 0.15 mm for a clip that covers 20 m.
    """
    low, high = clip.joints.min(axis=(0, 1)).astype(np.float64), clip.joints.max(axis=(0, 1)).astype(np.float64)
    centre = (low + high) / 2
    scale = max(float((high - low).max()) / 2, 1e-6) / _STEPS
    steps = np.clip(np.rint((clip.joints - centre) / scale), -_STEPS, _STEPS).astype("<i2")
    scenes = [[int(first), str(text)] for first, text in clip.meta.get("scenes", ())]
    packed: dict[str, Any] = {"scenes": scenes} if scenes else {}
    packed |= {"frames": clip.frames, "fps": float(clip.fps), "facing": round(facing_rad(clip.joints), 5)}
    packed |= {"floor": round(floor_height_m(clip.joints), 5), "scale": scale, "centre": centre.tolist()}
    return packed | {"joints": base64.b64encode(steps.tobytes()).decode("ascii")}


def pack_skeleton() -> dict[str, Any]:
    """The body for the player: parents, sides, limb radii, head, and the joints that leave trails."""
    sides, radii = zip(*((side_of(joint), radius_m(joint)) for joint in SMPL22.joints), strict=True)
    body = {"parents": list(SMPL22.parents), "sides": list(sides), "radii": list(radii)}
    joints = {name: SMPL22.index(name) for name in ("head", "neck")}
    return body | joints | {"ends": [SMPL22.index(joint) for joint in _ENDS]}


def script_json(value: Any) -> str:
    """JSON whose strings can neither open nor close a script element or a comment."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


HERE = Path(__file__).parent
ASSETS = HERE / "assets"
"""Folder of the player's script and styles."""


@dataclass(frozen=True)
class Panel:
    """One player of a row."""

    title: str
    """Heading of the player, such as the model's name."""
    clip: Clip
    """The motion."""
    codes: Sequence[int] = ()
    """Motion codes in order of time, drawn as a ribbon that spans the clip; empty: no ribbon."""
    replaced: Sequence[int] = ()
    """Positions in `codes` that unlearning has replaced; they are marked."""

    def __post_init__(self) -> None:
        outside = [int(i) for i in self.replaced if not 0 <= i < len(self.codes)]
        if outside:
            raise ConfigError(
                f"found a replaced position {outside[0]} in {len(self.codes)} codes, expected one of them"
            )


@dataclass(frozen=True)
class ComparisonRow:
    """One prompt and its motions, side by side, with one timeline and one camera."""

    prompt: str
    """Text from which the motions were generated."""
    panels: Sequence[Panel]
    """Two or more players."""
    tag: str = ""
    """A word next to the prompt, such as `forget` or `retain`."""
    note: str = ""
    """A sentence under the prompt."""


def write_page(clips: Clip | Sequence[Clip], path: str | Path, *, title: str | None = None) -> None:
    """Write one clip as a player that fills the page, or several as a gallery of players.

    The page needs no network and no other file. `#t=0.5` at the end of its address opens it at half a second. The
    default title is the caption of a single clip, or the number of clips or captions. Raises ConfigError, OutputError.
    """
    single = isinstance(clips, Clip)
    chosen: list[Clip] = [clips] if isinstance(clips, Clip) else list(clips)
    if not chosen:
        raise ConfigError("found no clips for the page, expected at least one")
    scenes = len(chosen[0].meta.get("scenes", ()))
    if single:
        heading = title or (f"{scenes} captions, one motion" if scenes > 1 else chosen[0].caption) or "Motion"
    else:
        heading = title or f"{len(chosen)} motions"
    names = [clip.caption or f"Motion {i}" for i, clip in enumerate(chosen, 1)]
    rows = [ComparisonRow(name, [Panel("", clip)], note=_facts(clip)) for name, clip in zip(names, chosen, strict=True)]
    notes = [_facts(chosen[0])] if single else []
    write_text(path, render("page.html.j2", "player" if single else "gallery", heading, rows, notes))


def write_comparison(
    path: str | Path,
    title: str,
    rows: Sequence[ComparisonRow],
    table: Sequence[Mapping[str, Any]] = (),
    notes: str | Sequence[str] = (),
) -> None:
    """Write rows of players, such as original and unlearned model, under a table of measurements.

    The table has one dictionary per line, whose first key is the line's name; the union of all keys are the columns.
    The notes are paragraphs under the title. Raises ConfigError without rows or for a row without players, OutputError.
    """
    if not rows or any(not row.panels for row in rows):
        raise ConfigError("found no rows, or a row without players, expected at least one player in each of the rows")
    paragraphs = [notes] if isinstance(notes, str) else notes
    names = dict.fromkeys(str(key) for line in table for key in line)
    words = {name: any(isinstance(line.get(name), str) for line in table) for name in names}  # text is left-aligned
    columns = [{"name": name, "attributes": Markup(' class="words"' * words[name])} for name in names]
    write_text(path, render("page.html.j2", "comparison", title, rows, paragraphs, table=table, columns=columns))


def render(
    template: str,
    kind: str,
    title: str,
    rows: Sequence[ComparisonRow],
    notes: Sequence[str],
    home: Path = HERE,
    **more: Any,
) -> str:
    """Render a page of players of a kind (player, gallery or comparison); the template engine escapes all texts.

    The folder `home` has `templates` and `assets` that are searched before those of this package; `more` are further
    values for the template.
    """
    players = [{"panels": [_packed(panel) for panel in row.panels]} for row in rows]
    data = {"kind": kind, "skeleton": pack_skeleton(), "rows": players}
    marks = any(panel.replaced for row in rows for panel in row.panels)
    facts = {"kind": kind, "title": title, "rows": rows, "notes": notes, "marks": marks, **more}
    return _environment(home).get_template(template).render(facts, data=Markup(script_json(data)))


def _packed(panel: Panel) -> dict[str, Any]:
    codes, replaced = [int(code) for code in panel.codes], sorted({int(i) for i in panel.replaced})
    return {"clip": pack_clip(panel.clip), "codes": codes, "replaced": replaced}


@cache
def _environment(home: Path) -> Environment:
    folders = [folder / name for folder in (home, HERE) for name in ("templates", "assets")]
    loader = FileSystemLoader(folders)
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.globals["asset"] = lambda name: Markup(loader.get_source(environment, name)[0])  # our own files only
    environment.filters["number"] = _cell
    return environment


def _facts(clip: Clip) -> str:
    parts = [f"{clip.frames} frames", f"{clip.fps:g} frames a second", f"{clip.duration_s:.1f} s"]
    source = clip.meta.get("source")
    return " · ".join([*parts, source] if isinstance(source, str) else parts)


def _cell(value: Any) -> str:
    """Text of a table cell: floats with four significant digits, integers with separators, nothing for None."""
    if value is None or isinstance(value, Undefined):
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
