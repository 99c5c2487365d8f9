"""Flights: what floats comes down, what falls freely stays, and what is held by something is left alone."""

import numpy as np
import pytest

from exuvia.motion.clip import Clip
from exuvia.motion.flights import GRAVITY_M_PER_S2, free_fall
from exuvia.motion.rigid import rigid_clip
from exuvia.shapes import Array
from exuvia.synthetic.actor import Part
from exuvia.synthetic.dataset import perform
from exuvia.synthetic.style import STYLE
from lab.prompts.physics import Flight, flights

FPS = 20.0
TIME = np.arange(60) / FPS
UP = np.asarray((0.0, 1.0, 0.0))


def act(*names: str) -> Array:
    """Joints of synthetic actions."""
    return perform([Part(name) for name in names], STYLE["plain"], (0,))[0].astype(np.float64)


STAND = act("stand")[0]


def lifted(height: Array) -> Array:
    """A standing body, moved up by heights [F]."""
    return STAND + height[:, None, None] * UP


def bump(start_s: float, seconds: float, rise_m: float) -> Array:
    """A rise and fall that takes its time [F]."""
    return rise_m * np.sin(np.pi * np.clip((TIME - start_s) / seconds, 0, 1)) ** 2


def seen(joints: Array) -> list[Flight]:
    return list(flights(Clip(joints.astype(np.float32), fps=FPS)))


def test_a_floating_body_comes_down_as_fast_as_it_would_fall() -> None:
    floating = lifted(bump(0.5, 1.5, 0.4))
    (before,), (after,) = seen(floating), seen(free_fall(floating, FPS))
    assert before.violates
    assert not after.violates
    assert after.acceleration == pytest.approx(-GRAVITY_M_PER_S2, rel=0.25)
    assert after.seconds == pytest.approx(np.sqrt(8 * 0.4 / GRAVITY_M_PER_S2), abs=0.2)


def test_a_body_that_stays_in_the_air_returns() -> None:
    stuck = lifted(0.4 * np.clip((TIME - 1.5) / 0.2, 0, 1))
    assert [flight.violates for flight in seen(stuck)] == [True]
    assert not any(flight.violates for flight in seen(free_fall(stuck, FPS)))


def test_a_clip_that_begins_in_the_air_lands() -> None:
    lying = np.linspace(0, 1, 40)[:, None, None]
    begun = (
        (1 - lying) * STAND + lying * (STAND * (1.0, 0.2, 1.0)) + 0.3 * np.clip(1 - TIME[:40], 0, 1)[:, None, None] * UP
    )
    assert [flight.violates for flight in seen(begun)] == [True]
    assert not any(flight.violates for flight in seen(free_fall(begun, FPS)))


def test_a_short_hop_gets_the_height_of_its_time() -> None:
    low = lifted(bump(0.5, 0.4, 0.15))
    height = free_fall(low, FPS)[:, 0, 1] - STAND[0, 1]
    assert height.max() == pytest.approx(GRAVITY_M_PER_S2 * 0.35**2 / 8, abs=0.06)


def test_a_free_flight_stays() -> None:
    free = lifted(np.maximum(2.5 * (TIME - 0.5) - GRAVITY_M_PER_S2 / 2 * (TIME - 0.5) ** 2, 0) * (TIME > 0.5))
    assert np.abs(free_fall(free, FPS) - free).max() < 0.05


@pytest.mark.parametrize("height", [np.full(60, 0.5), np.where(TIME > 0.5, 1.3, 0.0)[:45]], ids=["long", "high"])
def test_a_body_that_something_holds_stays(height: Array) -> None:
    np.testing.assert_array_equal(free_fall(lifted(height), FPS), lifted(height))


@pytest.mark.parametrize("name", ["walk", "crawl", "cartwheel", "lie_down", "sit", "kneel", "push_ups"])
def test_bodies_on_the_floor_stay(name: str) -> None:
    joints = act(name)
    assert np.abs(free_fall(joints, FPS) - joints).max() < 0.02


def test_a_rigid_clip_neither_floats_nor_sinks_nor_loses_its_bones() -> None:
    clip = Clip(lifted(bump(0.5, 1.5, 0.4)).astype(np.float32), fps=FPS)
    made = rigid_clip(clip)
    assert not any(flight.violates for flight in flights(made))
    assert made.joints[..., 1].min() > -1e-4
    shins = np.linalg.norm(made.joints[:, 4] - made.joints[:, 7], axis=-1)
    assert np.ptp(shins) < 1e-4
