"""Videos of a clip: MP4 with PyAV, GIF with Pillow; and motions side by side, such as before and after an edit."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from exuvia.errors import ConfigError, OutputError
from exuvia.files import whole_file
from exuvia.motion.clip import Clip
from exuvia.view.camera import Shot
from exuvia.view.frame import INK, LEFT, MUTED, PAPER, PATH, RIGHT, check_size, draw_frame, fit_text, font

_GIF_MAX_FPS = 50.0  # viewers play a delay under 20 ms as 100 ms
SIDE_BY_SIDE_FPS = 10.0
"""Pictures a second: half of a clip's frames, at half the size of the file."""
HOLD_S = 0.8
"""Seconds for which the last frame of a row stays."""


def write_video(clip: Clip, path: str | Path, *, size: tuple[int, int] = (512, 512)) -> None:
    """Write a clip as an MP4 (H.264) or a looping GIF, depending on the path's suffix, at the clip's own rate.

    A GIF counts time in hundredths of a second. Delays are rounded such that the total duration is kept, and a clip of
    more than 50 frames a second is resampled to 50. The size is in pixels, even for an MP4; the title is the caption.
    Raises ConfigError for a suffix or size that is not supported or an MP4 without PyAV, OutputError.
    """
    check_size(size)
    suffix = Path(path).suffix.lower()
    if suffix == ".gif":
        clip = clip.resampled(_GIF_MAX_FPS) if clip.fps > _GIF_MAX_FPS else clip
        save_gif(list(_pictures(clip, size)), clip.fps, path)
    elif suffix == ".mp4":
        _write_mp4(clip, path, size)
    else:
        raise ConfigError(f"found the suffix {suffix!r} for a video, expected .mp4 or .gif")


def _pictures(clip: Clip, size: tuple[int, int]) -> Iterator[Image.Image]:
    """Pictures of all frames with title, time, legend and progress bar."""
    text = max(11, size[1] // 28)
    shot = Shot.of(clip, size[0] / size[1], margin=0.78)
    title = fit_text(clip.caption or "", size[0] - 2 * text, text)
    for frame in range(clip.frames):
        image = draw_frame(clip, frame, size, shot=shot)
        draw = ImageDraw.Draw(image)
        draw.text((text, text * 0.8), title, INK, font(text))
        small = max(10, text * 4 // 5)
        low = size[1] - text * 1.4
        draw.text((text, low), f"{frame / clip.fps:.2f} s", MUTED, font(small), anchor="lm")
        right = float(size[0] - text)
        for word, colour in (("right", RIGHT), ("left", LEFT)):
            draw.text((right, low), word, colour, font(small), anchor="rm")
            right -= font(small).getlength(word) + small * 0.8
        draw.rectangle((0, size[1] - 4, (size[0] - 1) * (frame + 1) / clip.frames, size[1] - 1), PATH)
        yield image


def save_gif(pictures: Sequence[Image.Image], fps: float, path: str | Path) -> None:
    """Write pictures of one size as a looping GIF with one palette, at most 50 a second. Raises OutputError."""
    width, height = pictures[0].size
    chosen = [pictures[len(pictures) * n // 12] for n in range(12)]
    swatch = Image.new("RGB", (width, height * len(chosen)))
    for row, picture in enumerate(chosen):
        swatch.paste(picture, (0, row * height))
    palette = swatch.quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    flat = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    ticks = [round(100 * i / fps) for i in range(len(pictures) + 1)]
    delays_ms = [10 * (end - start) for start, end in pairwise(ticks)]
    with whole_file(path) as temporary:
        rules: dict[str, Any] = {"format": "GIF", "save_all": True, "loop": 0, "optimize": False}
        flat[0].save(temporary, append_images=flat[1:], duration=delays_ms, **rules)


def _write_mp4(clip: Clip, path: str | Path, size: tuple[int, int]) -> None:
    if size[0] % 2 or size[1] % 2:
        raise ConfigError(f"found an MP4 size of {size[0]} x {size[1]}, expected an even width and height")
    try:
        import av
    except ImportError:
        remedy = "run: pip install 'exuvia[video]', or write a .gif"
        raise ConfigError(f"writing an MP4 needs PyAV, which is not installed; {remedy}") from None
    with whole_file(path) as temporary:
        try:
            with av.open(str(temporary), mode="w", format="mp4", options={"movflags": "faststart"}) as container:
                stream = container.add_stream("libx264", rate=Fraction(clip.fps).limit_denominator(1001))
                stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
                stream.options = {"crf": "20", "preset": "veryfast"}
                for picture in _pictures(clip, size):
                    container.mux(stream.encode(av.VideoFrame.from_image(picture)))
                container.mux(stream.encode())
        except av.error.FFmpegError as error:
            raise OutputError(f"cannot write {path}: {error}; nothing was changed there") from error


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
    save_gif(pictures, SIDE_BY_SIDE_FPS, path)


def _row(heading: str, clips: Sequence[Clip], names: Sequence[str], size: int) -> Iterator[Image.Image]:
    clips = [clip.resampled(SIDE_BY_SIDE_FPS) for clip in clips]
    shots = [Shot.of(clip, 1.0, margin=0.8) for clip in clips]
    text, top = size // 17, size // 8
    last = max(clip.frames for clip in clips) - 1
    for number in range(last + 1 + round(HOLD_S * SIDE_BY_SIDE_FPS)):
        image = Image.new("RGB", (size * len(clips), size + top), PAPER)
        draw = ImageDraw.Draw(image)
        draw.text((text, top * 0.25), fit_text(heading, image.width - 2 * text, text), INK, font(text))
        for column, (clip, shot, name) in enumerate(zip(clips, shots, names, strict=True)):
            image.paste(draw_frame(clip, min(number, clip.frames - 1), (size, size), shot=shot), (column * size, top))
            draw.text((column * size + text, top), fit_text(name, size - 2 * text, text), MUTED, font(text))
        yield image
