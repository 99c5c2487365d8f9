"""A clip as a row of poses in one PNG."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from exuvia.errors import ConfigError
from exuvia.files import whole_file
from exuvia.motion.clip import Clip
from exuvia.view.camera import Shot
from exuvia.view.frame import INK, LEFT, MUTED, PAPER, PATH, RIGHT, check_size, draw_frame, fit_text, font

_TEXT, _SMALL, _EDGE = 17, 13, 14  # pixels
_HEADER = 30
_LINE = (226, 227, 225)


def write_strip(clip: Clip, path: str | Path, *, frames: int = 8, size: tuple[int, int] = (170, 240)) -> None:
    """Write evenly spaced poses of a clip, including first and last, side by side as a PNG.

    The camera shows a three-quarter view from the body's right and follows the root, so that forward runs from left to
    right. Left limbs are blue, right limbs orange, and the root's path over the floor is green.

    A clip shorter than `frames` poses shows each of its frames once. A pose is `size` (width, height) pixels large, and
    the title is the caption. Raises ConfigError for a number of poses or size out of range, OutputError.
    """
    check_size(size)
    if not 1 <= frames <= 64:
        raise ConfigError(f"found {frames} poses a strip, expected 1 to 64")
    width, top = max(frames * size[0] + 2 * _EDGE, 420), _EDGE // 2
    sheet = Image.new("RGB", (width, _HEADER + size[1] + 2 * _EDGE + _SMALL), PAPER)
    draw = ImageDraw.Draw(sheet)
    length = f"{clip.frames} frames, {clip.duration_s:.1f} s"
    room = width - 3 * _EDGE - font(_SMALL).getlength(length)
    draw.text((_EDGE, top + _HEADER / 2), fit_text(clip.caption or "", room, _TEXT), INK, font(_TEXT), anchor="lm")
    draw.text((width - _EDGE, top + _HEADER / 2), length, MUTED, font(_SMALL), anchor="rm")
    shot, top = Shot.of(clip, size[0] / size[1]), top + _HEADER
    for column, frame in enumerate(pose_indices(clip.frames, frames)):
        left = _EDGE + column * size[0]
        sheet.paste(draw_frame(clip, frame, size, shot=shot, label=f"{frame / clip.fps:.2f} s"), (left, top))
        if column:
            draw.line((left, top, left, top + size[1]), _LINE, 1)
    _draw_legend(draw, width, sheet.height)
    with whole_file(path) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)


def pose_indices(count: int, frames: int) -> list[int]:
    """Up to `frames` evenly spaced indices into a clip of `count` frames, including the first and the last."""
    if frames == 1:
        return [count // 2]
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(frames, count)).round())]


def _draw_legend(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    """Draw the meaning of the colours in the lower right corner."""
    right, middle = float(width - _EDGE), height - _EDGE / 2 - _SMALL / 2
    for word, colour in (("root path", PATH), ("right limbs", RIGHT), ("left limbs", LEFT)):
        draw.text((right, middle), word, MUTED, font(_SMALL), anchor="rm")
        right -= font(_SMALL).getlength(word) + 16
        draw.ellipse((right, middle - 5, right + 10, middle + 5), colour)
        right -= 16
