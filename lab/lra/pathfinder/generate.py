"""Generates Pathfinder pictures, with compiled code if there is a compiler, else with the equivalent reference.

Are two dots on the same dashed curve? [linsley2018pathfinder]; in the Long Range Arena pixel after pixel [tay2021lra].
"""

import ctypes
import functools
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exuvia.errors import ConfigError
from exuvia_ssm.cpu.build import BuildError, library
from lab.lra.pathfinder.reference import picture
from lab.lra.pathfinder.tables import DEGREES, PathfinderConfig, Tables, tables

log = logging.getLogger(__name__)

SOURCE = Path(__file__).parent / "pathfinder.cpp"
CHUNK = 64
"""Pictures that a thread makes at a time."""

_POINTER, _LONG = ctypes.c_void_p, ctypes.c_int64


class _Tables(ctypes.Structure):
    _fields_ = [
        *((name, _LONG) for name in ("half", "pixels", "disc_count", "marker_half")),
        *((name, _POINTER) for name in ("line", "mask", "marker", "head", "back", "ahead", "circle", "reverse", "disc",
                                        "near", "near_start", "weight")),
    ]  # fmt: skip


class _Settings(ctypes.Structure):
    _fields_ = [
        *((name, _LONG) for name in ("window", "padding", "seed_distance", "contour_length", "distractor_length",
                                     "distractors", "paddle_retries", "snake_retries", "margins")),
        ("target_brightness", ctypes.c_float), ("distractor_brightness", ctypes.c_float),
        ("tables", ctypes.POINTER(_Tables)),
    ]  # fmt: skip


def generate(
    count: int, config: PathfinderConfig, seed: int, first: int = 0, threads: int = 1, compiled: bool | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures `first` to `first + count - 1` of a seed; each depends on seed and number only.

    Args:
        count: pictures
        config: what they look like; `tables.PRESETS` has the published settings
        seed: of all of them
        first: number of the first one
        threads: that work at the same time
        compiled: False: the reference; True: the compiled code, or an error; None: whichever is available
    Returns:
        pictures [count, W, W] and labels [count], 1 where both markers are on one snake
    Raises:
        ConfigError: a negative count.
        BuildError: it cannot be compiled, with `compiled=True`.
    """
    if count < 0 or first < 0 or seed < 0:
        raise ConfigError(f"found count {count}, first {first}, seed {seed}; expected none below 0")
    images = np.zeros((count, config.window, config.window), np.uint8)
    labels = np.zeros(count, np.int64)
    function = None if compiled is False else _compiled(must=bool(compiled))
    if function is None:
        for n in range(count):
            images[n], labels[n] = picture(config, seed, first + n)
        return images, labels
    settings, kept = _settings(config)

    def make(low: int) -> None:
        some = min(CHUNK, count - low)
        function(ctypes.byref(settings), seed, first + low, some, images[low:].ctypes.data, labels[low:].ctypes.data)

    with ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(make, range(0, count, CHUNK)))
    del kept  # the arrays had to live until here
    return images, labels


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(str(library(source=SOURCE)))


def _compiled(must: bool) -> "ctypes._NamedFuncPointer | None":
    try:
        function = _library().exuvia_pathfinder
    except (BuildError, OSError) as error:
        if must:
            raise BuildError(f"the Pathfinder generator cannot be compiled: {error}") from None
        log.info("Pathfinder pictures are drawn in plain Python, some fifty times slower: %s", error)
        return None
    function.argtypes = [ctypes.POINTER(_Settings), ctypes.c_uint64, ctypes.c_uint64, _LONG, _POINTER, _POINTER]
    function.restype = None
    return function


def _settings(c: PathfinderConfig) -> tuple[_Settings, list[object]]:
    """The C structure, and the arrays it points into."""
    kept: list[object] = []
    every = (_Tables * len(c.margins))(*(_table(tables(c, margin), kept) for margin in c.margins))
    numbers = (c.window, c.padding, c.seed_distance, c.contour_length, c.distractor_length, c.distractors,
               c.paddle_retries, c.snake_retries, len(c.margins))  # fmt: skip
    return _Settings(*numbers, c.target_brightness, c.distractor_brightness, every), [every, *kept]


def _table(t: Tables, kept: list[object]) -> _Tables:
    def pointer(values: NDArray[Any], dtype: type) -> int:
        array: NDArray[Any] = np.ascontiguousarray(values, dtype)
        kept.append(array)
        return int(array.ctypes.data)

    near = np.concatenate(t.near)
    starts = np.cumsum([0, *(len(t.near[k]) for k in range(DEGREES))])
    long, single = np.int64, np.float32
    return _Tables(
        t.half, len(t.circle), len(t.disc), len(t.marker) // 2,
        pointer(t.line, single), pointer(t.mask, single), pointer(t.marker, single), pointer(t.head, long),
        pointer(t.back, long), pointer(t.ahead, long), pointer(t.circle, long), pointer(t.reverse, long),
        pointer(t.disc, long), pointer(near, long), pointer(starts, long), pointer(t.weight, np.float64),
    )  # fmt: skip
