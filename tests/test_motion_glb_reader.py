"""glTF in: rigs of any naming below scaled and turned armatures, our own files, damaged files."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exuvia.errors import DataError, ExuviaError, ShapeError
from exuvia.motion.clip import Clip
from exuvia.motion.load import load_clip
from exuvia.motion.source import Source
from lab.made_rigs import RIGS, bvh_of, gltf_of
from made_mocap import body
from test_motion_rigs import error_mm


@pytest.mark.parametrize("name", ["mixamo", "unreal5", "rigify", "vrm", "unity"])
@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("z_up", [False, True])
def test_rigs_of_many_tools_meet_their_true_joints(name: str, scale: float, z_up: bool, tmp_path: Path) -> None:
    text, truth = bvh_of(RIGS[name], z_up=z_up, walk_m=0.5)
    (tmp_path / "a.gltf").write_text(gltf_of(text, scale=scale, z_up=z_up))
    clip = load_clip(tmp_path / "a.gltf", None)
    assert (clip.frames, clip.fps, clip.meta["up"], clip.meta["doubts"]) == (12, 20.0, "y", [])
    assert max(error_mm(clip, truth).values()) < 0.1


@pytest.mark.parametrize("style", ["STEP", "CUBICSPLINE"])
def test_other_interpolations_keep_their_keys(style: str, tmp_path: Path) -> None:
    text, truth = bvh_of(RIGS["unity"])
    (tmp_path / "a.gltf").write_text(gltf_of(text, style=style))
    assert max(error_mm(load_clip(tmp_path / "a.gltf", None), truth).values()) < 0.1


@pytest.mark.parametrize("fps", [12.5, 20.0, 30.0, 37.0, 120.0])
def test_a_written_clip_reads_back(fps: float, tmp_path: Path) -> None:
    Clip(body(40, 1), fps=fps).save(tmp_path / "a.bvh")
    rigid = load_clip(tmp_path / "a.bvh", None)
    rigid.save(tmp_path / "a.glb")
    back = load_clip(tmp_path / "a.glb", None)
    assert back.fps == pytest.approx(fps, rel=1e-4)
    np.testing.assert_allclose(back.joints, rigid.joints, atol=1e-3)
    assert load_clip(tmp_path / "a.glb", None, source=Source(fps=2 * fps)).frames == pytest.approx(79, abs=1)


def test_files_without_motion_or_buffers_are_refused(tmp_path: Path) -> None:
    gltf = json.loads(gltf_of(bvh_of(RIGS["unity"])[0]))
    path = tmp_path / "a.gltf"
    for change, message in (
        ({"animations": []}, "no animation"),
        ({"buffers": [{"uri": "a.bin"}]}, "does not exist|No such file"),
        ({"buffers": [{"uri": "../../etc/passwd"}]}, "does not exist|No such file"),
        ({"nodes": [{"name": "cube"}] * 60}, "understood as"),
    ):
        path.write_text(json.dumps(gltf | change))
        with pytest.raises((DataError, ShapeError), match=message):
            load_clip(path)


@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0, 1), at=st.floats(0, 1), new=st.binary(max_size=8))
def test_damaged_files_give_a_clip_or_an_exuvia_error(
    cut: float, at: float, new: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("glb")
    Clip(body(6, 0)).save(folder / "a.glb")
    data = (folder / "a.glb").read_bytes()
    place = int(at * 20_000)
    (folder / "a.glb").write_bytes((data[:place] + new + data[place + len(new) :])[: int(len(data) * (1 - cut**4))])
    with suppress(ExuviaError):
        assert isinstance(load_clip(folder / "a.glb"), Clip)
