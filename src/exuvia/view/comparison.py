"""Motions side by side as one animated picture, such as the same prompts before and after an edit."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from exuvia.errors import ConfigError
from exuvia.motion.clip import Clip
from exuvia.view.camera import Shot
from exuvia.view.frame import INK, MUTED, PAPER, draw_frame, fit_text, font
from exuvia.view.video import save_gif

FPS = 10.0
"""Pictures a second: half of a clip's frames, at half the size of the file."""
HOLD_S = 0.8
"""Seconds for which the last frame of a row stays."""


def write_side_by_side(
    rows: Sequence[tuple[str, Sequence[Clip]]], names: Sequence[str], path: str | Path, *, size: int = 320
) -> None:
    """Write a looping GIF that shows one row of clips after the other; the shorter clips of a row wait at their end.

    A row has a heading, such as the prompt, and a clip for each name, such as "before" and "after", in a picture of
    `size` x `size` pixels. Raises ConfigError without rows or for another number of clips than of names, OutputError.
    """
    if not rows or any(len(clips) != len(names) for _, clips in rows):
        raise ConfigError(f"found no rows, or a row that does not have {len(names)} clips; expected one for each name")
    pictures = [picture for heading, clips in rows for picture in _row(heading, clips, names, size)]
    save_gif(pictures, FPS, path)


def _row(heading: str, clips: Sequence[Clip], names: Sequence[str], size: int) -> Iterator[Image.Image]:
    clips = [clip.resampled(FPS) for clip in clips]
    shots = [Shot.of(clip, 1.0, margin=0.8) for clip in clips]
    text, top = size // 17, size // 8
    last = max(clip.frames for clip in clips) - 1
    for number in range(last + 1 + round(HOLD_S * FPS)):
        image = Image.new("RGB", (size * len(clips), size + top), PAPER)
        draw = ImageDraw.Draw(image)
        draw.text((text, top * 0.25), fit_text(heading, image.width - 2 * text, text), INK, font(text))
        for column, (clip, shot, name) in enumerate(zip(clips, shots, names, strict=True)):
            image.paste(draw_frame(clip, min(number, clip.frames - 1), (size, size), shot=shot), (column * size, top))
            draw.text((column * size + text, top), fit_text(name, size - 2 * text, text), MUTED, font(text))
        yield image
