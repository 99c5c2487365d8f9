"""Pathfinder: compiled and reference pictures are one, labels are right, a picture depends on seed and number only."""

import dataclasses

import numpy as np
import pytest
from scipy import ndimage

from exuvia.errors import ConfigError
from exuvia_ssm.cpu.build import BuildError, library
from lab.lra.pathfinder.generate import generate
from lab.lra.pathfinder.reference import Canvas, Draws, _two_long_snakes, picture
from lab.lra.pathfinder.tables import DEGREES, PRESETS, PathfinderConfig, tables

try:
    library()
    COMPILER = True
except BuildError:
    COMPILER = False
needs_compiler = pytest.mark.skipif(not COMPILER, reason="no C++ compiler here")


@needs_compiler
@pytest.mark.parametrize(
    ("name", "contrast", "count"),
    [
        ("32", "published", 12),
        ("32", "equal", 12),
        ("64", "published", 2),
        ("128", "equal", 2),
        ("256", "published", 1),
    ],
)
def test_the_compiled_pictures_are_those_of_the_reference(name: str, contrast: str, count: int) -> None:
    config = dataclasses.replace(PRESETS[name], contrast=contrast)
    images, labels = generate(count, config, seed=5, compiled=True)
    plain, answers = generate(count, config, seed=5, compiled=False)
    assert np.array_equal(images, plain)
    assert np.array_equal(labels, answers)


@needs_compiler
def test_a_picture_depends_on_its_seed_and_number_only() -> None:
    config = PRESETS["32"]
    images, labels = generate(200, config, seed=1, threads=2)
    later, answers = generate(70, config, seed=1, first=130)
    assert np.array_equal(images[130:], later)
    assert np.array_equal(labels[130:], answers)
    other, _ = generate(5, config, seed=2)
    assert not np.array_equal(other, images[:5])
    assert len({picture.tobytes() for picture in images}) == 200


@needs_compiler
def test_labels_are_even_and_no_picture_is_empty() -> None:
    images, labels = generate(2000, PRESETS["32"], seed=0)
    assert labels.mean() == pytest.approx(0.5, abs=0.04)
    assert (images.max((1, 2)) == 255).all()
    assert images.mean() == pytest.approx(29, abs=8)


def ends_on_one_curve(config: PathfinderConfig, seed: int, index: int) -> tuple[bool, int] | None:
    """Follow the long snakes alone: fill the gaps between paddles, and see whether both markers lie in one piece.

    None where the two snakes touch, so that filling cannot tell them apart.
    """
    alone = dataclasses.replace(config, distractors=0)
    draws = Draws(seed, index)
    label = draws.below(2)
    margin = config.margins[draws.below(len(config.margins))]
    begun = None
    while begun is None:
        canvas = Canvas(alone, tables(alone, margin))
        begun = _two_long_snakes(canvas, draws)
    first = draws.below(2)
    marks = begun[0][first], begun[1][first if label else 1 - first]
    disc = np.hypot(*np.mgrid[-margin : margin + 1, -margin : margin + 1]) <= margin
    pieces, count = ndimage.label(ndimage.binary_dilation(canvas.image > 0.2, disc), np.ones((3, 3)))
    if count != 2:
        return None
    found = [{int(v) for v in pieces[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3].ravel() if v} for y, x in marks]
    return (bool(found[0] & found[1]), label) if all(len(one) == 1 for one in found) else None


def test_labels_say_whether_both_markers_are_on_one_curve() -> None:
    apart = (0, 2, 8, 11, 13)  # pictures whose snakes do not touch and are soon drawn
    results = [ends_on_one_curve(PRESETS["128"], 3, index) for index in apart]
    assert {label for _, label in filter(None, results)} == {0, 1}
    for result in results:
        assert result is not None
        assert result[0] == bool(result[1])
    assert picture(dataclasses.replace(PRESETS["128"], distractors=0), 3, 0)[1] == Draws(3, 0).below(2)


def brightness_of_distractors(config: PathfinderConfig) -> float:
    """Over that of long snakes: upper tenth of the pixels of either."""
    config = dataclasses.replace(config, marker_radius=0.1)
    alone, _ = generate(100, dataclasses.replace(config, distractors=0), seed=0)  # the same long snakes
    whole, _ = generate(100, config, seed=0)
    long = whole[alone > 60]
    short = whole[(alone == 0) & (whole > 60)]
    return float(np.quantile(short, 0.9) / np.quantile(long, 0.9))


@needs_compiler
def test_equal_contrast_takes_the_shortcut_away() -> None:
    assert brightness_of_distractors(PRESETS["32"]) > 1.2
    assert brightness_of_distractors(dataclasses.replace(PRESETS["32"], contrast="equal")) == pytest.approx(1, abs=0.1)


def test_tables_are_what_they_say() -> None:
    for config in PRESETS.values():
        t = tables(config, config.margins[-1])
        assert t.line.shape[0] == DEGREES + 2 * len(t.circle)
        assert t.line.shape[1] == 2 * t.half + 1
        radius = config.paddle_length + config.margins[-1]
        np.testing.assert_allclose(np.hypot(*(t.circle + 0.5).T), radius, atol=0.75)
        assert (t.mask.max((1, 2)) == 1).all()
        assert (t.mask >= np.where(t.line > 0.5, 0.9, 0)).all()  # a paddle lies in its own surroundings
        assert (t.weight >= 0).all()
        assert (t.weight.max(1) > 0.7).all()  # a snake can always go nearly straight on


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contrast": "other"}, "unknown contrast"),
        ({"window": 20}, "more than 4 times 7"),
        ({"paddle_thickness": 0.7}, "whole pixels"),
        ({"margins": ()}, "margins from 1"),
    ],
)
def test_bad_settings_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(PRESETS["32"], **change)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="count -1"):
        generate(-1, PRESETS["32"], 0)


def test_without_a_compiler_the_reference_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.lra.pathfinder import generate as module

    module._library.cache_clear()
    monkeypatch.setenv("EXUVIA_NO_COMPILER", "1")
    try:
        images, _ = generate(1, PRESETS["32"], 0)
        assert np.array_equal(images[0], picture(PRESETS["32"], 0, 0)[0])
        with pytest.raises(BuildError, match="cannot be compiled"):
            generate(1, PRESETS["32"], 0, compiled=True)
    finally:
        module._library.cache_clear()
