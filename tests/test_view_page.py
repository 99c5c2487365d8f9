"""Pages: packed joints are accurate, text cannot become markup, and the bundle matches its sources."""

import hashlib
import json
import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.errors import ConfigError, OutputError
from exuvia.motion.clip import Clip
from exuvia.view.page import ComparisonRow, Panel, pack_clip, script_json, write_comparison, write_page
from packed_clip import unpack_joints

HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>\"'&amp; \u2028 é"
ROOT = Path(__file__).resolve().parents[1]


def drift(frames: int = 20, caption: str | None = "a drift", seed: int = 0) -> Clip:
    rng = np.random.default_rng(seed)
    pose = rng.uniform([-0.4, 0, -0.3], [0.4, 1.7, 0.3], (22, 3))
    path = np.linspace(0, 2, frames)[:, None, None] * np.asarray([1.0, 0, 0.4])
    return Clip((pose + path).astype(np.float32), caption=caption, meta={"source": "made"})


class Reader(HTMLParser):
    """Collects tags with attributes, texts, and the contents of scripts, as a browser sees them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"

    def handle_data(self, data: str) -> None:
        (self.scripts if self._in_script else self.text).append(data)

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    @property
    def data(self) -> dict:
        """The page's motion data."""
        return json.loads(self.scripts[0])


def read(path: Path) -> Reader:
    return Reader(path.read_text(encoding="utf-8"))


@given(st.floats(0.01, 60), st.floats(-50, 50), st.integers(2, 30), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_packed_joints_are_accurate_to_half_a_step(size: float, centre: float, frames: int, seed: int) -> None:
    joints = np.random.default_rng(seed).uniform(-size, size, (frames, 22, 3)) + centre
    clip = Clip(joints.astype(np.float32))
    packed = json.loads(script_json(pack_clip(clip)))
    back = unpack_joints(packed)
    assert back.shape == clip.joints.shape
    assert np.abs(back - clip.joints).max() <= packed["scale"] * 0.51 + 1e-5
    assert packed["scale"] <= size / 32767 * 1.001


def test_clip_whose_joints_coincide_can_be_packed() -> None:
    clip = Clip(np.full((2, 22, 3), 0.5, np.float32))
    assert np.allclose(unpack_joints(pack_clip(clip)), 0.5)


@given(st.text())
def test_json_in_a_script_has_no_markup_and_the_same_value(text: str) -> None:
    written = script_json({"a": text, text: 1})
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == {"a": text, text: 1}


def test_page_of_one_clip_is_complete(tmp_path: Path) -> None:
    clip = drift()
    clip.save(tmp_path / "p.html")
    page = read(tmp_path / "p.html")
    assert page.data["kind"] == "player"
    packed = page.data["rows"][0]["panels"][0]["clip"]
    assert np.abs(unpack_joints(packed) - clip.joints).max() < 1e-4
    assert len(page.scripts) == 2
    assert "20 frames · 20 frames a second · 1.0 s · made" in "".join(page.text)
    assert [path.name for path in tmp_path.iterdir()] == ["p.html"]


def test_page_refers_to_nothing_outside_and_forbids_it(tmp_path: Path) -> None:
    write_page([drift(), drift(seed=1)], tmp_path / "p.html")
    page = read(tmp_path / "p.html")
    assert not [a for _, attrs in page.tags for a in attrs if a in ("src", "href")]
    policy = next(attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    css = files("exuvia.view").joinpath("assets", "player.css").read_text(encoding="utf-8")
    assert "url(" not in css
    assert "@import" not in css


def test_gallery_has_a_row_for_every_clip(tmp_path: Path) -> None:
    write_page([drift(), drift(caption=None), drift(caption="third")], tmp_path / "p.html", title="Three")
    page = read(tmp_path / "p.html")
    assert page.data["kind"] == "gallery"
    assert len(page.data["rows"]) == sum("data-row" in attrs for _, attrs in page.tags) == 3
    assert {"Three", "Motion 2", "third"} <= set(page.text)


def test_hostile_text_is_escaped_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "p.html"
    panels = [Panel(HOSTILE, drift(caption=HOSTILE)), Panel("b", drift())]
    rows = [ComparisonRow(HOSTILE, panels, tag=HOSTILE, note=HOSTILE)]
    write_comparison(path, HOSTILE, rows, [{HOSTILE: HOSTILE, "x": 1.0}], [HOSTILE])
    page = read(path)
    assert len(page.scripts) == 2
    assert "alert(1)" not in "".join(page.scripts)
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert not [a for _, attrs in page.tags for a in attrs if a.startswith("on")]
    places = ["title", "heading", "note", "column", "line", "prompt", "tag", "remark", "panel"]
    assert page.text.count(HOSTILE) == len(places)
    assert HOSTILE in [attrs.get("data-name") for _, attrs in page.tags]

    write_page(drift(caption=HOSTILE), path)
    assert len(read(path).scripts) == 2


def test_comparison_has_panels_codes_and_table(tmp_path: Path) -> None:
    original, changed = drift(20), drift(24, seed=1)
    row = ComparisonRow("a kick", [Panel("original", original, [4, 9, 9]), Panel("unlearned", changed, [4, 7, 9], [1])])
    table = [{"model": "original", "FID": 0.123456, "codes": 12345}, {"model": "unlearned", "extra": None}]
    write_comparison(tmp_path / "c.html", "Before and after", [row], table, "One note.")
    page = read(tmp_path / "c.html")
    first, second = page.data["rows"][0]["panels"]
    assert (first["codes"], first["replaced"]) == ([4, 9, 9], [])
    assert (second["codes"], second["replaced"]) == ([4, 7, 9], [1])
    assert second["clip"]["frames"] == 24
    assert {"model", "FID", "codes", "extra", "0.1235", "12,345", "One note.", "replaced code"} <= set(page.text)
    assert [tag for tag, _ in page.tags].count("td") == 6
    labels = [attrs.get("aria-label") for _, attrs in page.tags]
    assert "3 motion codes, 1 replaced" in labels


def test_empty_pages_and_invalid_marks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no clips"):
        write_page([], tmp_path / "p.html")
    with pytest.raises(ConfigError, match="no rows"):
        write_comparison(tmp_path / "p.html", "x", [])
    with pytest.raises(ConfigError, match="without players"):
        write_comparison(tmp_path / "p.html", "x", [ComparisonRow("a", [])])
    with pytest.raises(ConfigError, match="replaced position 3 in 3 codes"):
        Panel("a", drift(), [1, 2, 3], [3])
    assert not list(tmp_path.iterdir())


def test_page_that_cannot_be_written_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot write"):
        write_page(drift(), tmp_path / "file" / "p.html")


@pytest.mark.parametrize(
    ("place", "name", "folders"), [("view", "player", ["src"]), ("studio", "studio", ["src", "studio"])]
)
def test_bundle_is_built_from_the_current_sources(place: str, name: str, folders: list[str]) -> None:
    bundle = files(f"exuvia.{place}").joinpath("assets", f"{name}.js").read_text(encoding="utf-8")
    stamp = re.search(r"sources sha256 ([0-9a-f]{64})", bundle)
    assert stamp is not None
    total = hashlib.sha256()
    for folder in folders:
        for path in sorted((ROOT / "web" / folder).iterdir(), key=lambda path: path.name):
            total.update(path.name.encode() + b"\n" + path.read_bytes())
    assert stamp[1] == total.hexdigest(), "web/ has changed; run: make web"


def test_bundle_is_safe_in_a_script_element_and_keeps_its_licence() -> None:
    assets = files("exuvia.view").joinpath("assets")
    bundle = assets.joinpath("player.js").read_text(encoding="utf-8")
    assert "</script" not in bundle.lower()
    assert "<!--" not in bundle
    assert "SPDX-License-Identifier: MIT" in bundle
    assert "Permission is hereby granted" in assets.joinpath("THREE-LICENSE.txt").read_text(encoding="utf-8")
