"""Contact sheets: the motions of many prompts as rows of poses, each under its prompt and verdict."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from exuvia.files import whole_file
from exuvia.motion.clip import Clip
from exuvia.view.frame import INK, MUTED, PAPER, Shot, draw_frame, fit_text, font
from exuvia.view.video import pose_indices

POSES, SIZE, HEAD, EDGE = 10, (130, 180), 40, 12
"""Poses a row; width and height of a pose, height of the text above it and margin, in pixels."""
GOOD, BAD = (20, 120, 60), (190, 40, 40)


def write_sheet(rows: Sequence[tuple[Clip, str, str, bool]], path: Path) -> None:
    """Write clips with their title, verdict and whether they passed as one PNG. Raises OutputError."""
    row_height, width = HEAD + SIZE[1], POSES * SIZE[0] + 2 * EDGE
    sheet = Image.new("RGB", (width, len(rows) * row_height + EDGE), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (clip, title, verdict, passed) in enumerate(rows):
        top = number * row_height
        length = f"{clip.duration_s:.1f} s"
        draw.text((EDGE, top + 4), fit_text(title, width - 120, 16), INK, font(16))
        draw.text((width - EDGE, top + 6), length, MUTED, font(13), anchor="ra")
        draw.text((EDGE, top + 23), fit_text(verdict, width - 2 * EDGE, 13), GOOD if passed else BAD, font(13))
        shot = Shot.of(clip, SIZE[0] / SIZE[1])
        for column, frame in enumerate(pose_indices(clip.frames, POSES)):
            label = f"{frame / clip.fps:.1f}"
            sheet.paste(draw_frame(clip, frame, SIZE, shot=shot, label=label), (EDGE + column * SIZE[0], top + HEAD))
    with whole_file(path) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)
