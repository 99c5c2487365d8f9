"""The page in a real browser: it draws and moves, shows a given moment exactly, and reports no error."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from exuvia.motion.clip import Clip
from exuvia.motion.skeleton import SMPL22
from exuvia.view.page import ComparisonRow, Panel, write_comparison, write_page

FLAGS = (
    "--headless --no-sandbox --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --hide-scrollbars --force-device-scale-factor=1 --use-angle=swiftshader "
    "--enable-unsafe-swiftshader --enable-logging=stderr --v=0"
).split()


@pytest.fixture(scope="module")
def browser() -> str:
    """Path of a Chromium."""
    names = [os.environ.get("EXUVIA_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"]
    path = next((path for path in map(shutil.which, names) if path), None)
    if not path:
        pytest.skip("no Chromium on the PATH and EXUVIA_CHROMIUM names none")
    return path


def swing(frames: int = 21) -> Clip:
    """A body in its rest pose whose left arm rises to the side."""
    pose = np.zeros((22, 3), np.float32)
    for joint, parent in enumerate(SMPL22.parents):
        if parent >= 0:
            pose[joint] = pose[parent] + SMPL22.rest_offsets[joint]
    pose[:, 1] -= pose[:, 1].min()
    joints = np.repeat(pose[None], frames, axis=0)
    shoulder = pose[SMPL22.index("left_shoulder")]
    angle = np.linspace(0, 2.5, frames)
    for name in ("left_elbow", "left_wrist"):
        length = np.linalg.norm(pose[SMPL22.index(name)] - shoulder)
        way = np.stack([np.sin(angle), -np.cos(angle), 0 * angle], axis=1)
        joints[:, SMPL22.index(name)] = shoulder + length * way
    return Clip(joints, caption="a person raises the left arm </script>")


def visit(browser: str, profile: Path, page: Path, fragment: str, *actions: str) -> str:
    """Open a page, act, and return what the browser wrote to stdout; no message of its console may be an error."""
    address = f"{page.as_uri()}#{fragment}"
    command = [browser, *FLAGS, f"--user-data-dir={profile}", *actions, address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not complaints, complaints
    return done.stdout


def picture(browser: str, folder: Path, page: Path, fragment: str, size: tuple[int, int]) -> NDArray[np.int32]:
    target = folder / "shot.png"
    visit(browser, folder / "profile", page, fragment, f"--screenshot={target}", f"--window-size={size[0]},{size[1]}")
    with Image.open(target) as image:
        return np.asarray(image.convert("RGB"), np.int32)


def test_picture_shows_the_moment_of_the_address(browser: str, tmp_path: Path) -> None:
    page = tmp_path / "p.html"
    write_page(swing(), page)
    size = (640, 520)
    low, again, high = (picture(browser, tmp_path, page, f"t={t}", size)[160:420, 60:580] for t in (0.1, 0.1, 0.9))
    assert np.array_equal(low, again)
    assert (np.abs(high - low).max(axis=-1) > 60).mean() > 0.003
    blue = (low[..., 2] - low[..., 0] > 60).mean()
    orange = (low[..., 0] - low[..., 2] > 60).mean()
    assert blue > 0.003, "left limbs are drawn"
    assert orange > 0.003, "right limbs are drawn"


def test_player_shows_the_caption_of_the_current_scene(browser: str, tmp_path: Path) -> None:
    page = tmp_path / "s.html"
    clip = swing()
    write_page(replace(clip, meta={"scenes": [(0, "first <b>"), (10, "then & there")]}), page)
    for moment, text in (("0", "first &lt;b&gt;"), ("0.49", "first &lt;b&gt;"), ("0.5", "then &amp; there")):
        dom = visit(browser, tmp_path / "profile", page, f"t={moment}", "--dump-dom")
        assert f'<p class="scene">{text}</p>' in dom
    write_page(clip, page)
    assert 'class="scene"' not in visit(browser, tmp_path / "profile", page, "t=0", "--dump-dom")


def test_one_context_serves_more_players_than_a_browser_has_contexts(browser: str, tmp_path: Path) -> None:
    page = tmp_path / "c.html"
    clip = swing()
    panels = [Panel("original", clip, [1, 2, 3, 4, 5]), Panel("unlearned", clip.mirrored(), [1, 7, 3, 4, 5], [1])]
    rows = [ComparisonRow(f"prompt {i} </script><!--", panels) for i in range(12)]
    write_comparison(page, "Many", rows, [{"model": "original", "FID": 1.0}])
    dom = visit(browser, tmp_path / "profile", page, "t=0.5", "--dump-dom", "--window-size=390,844")
    root = re.search(r"<html[^>]*>", dom)
    assert root is not None
    assert "data-fault" not in root[0]
    assert dom.count('data-drawn="0.500"') == 1 + 12
    assert dom.count('class="view"') == 24
    assert dom.count('class="scrubber"') == 12
    assert dom.count('aria-label="Play"') == 12
    assert "0.50 / 1.00 s" in dom
    assert dom.count('class="cell replaced') == 12
