"""Small files that ask for much memory or time, headers that lie, and bodies that no writer can draw."""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damage import JOINTS, QUICK, archive, bvh, deepmimic, header, npz, refused, value_or_sentence
from exuvia.errors import DataError, ShapeError
from exuvia.motion.clip import Clip
from exuvia.motion.load import load_clip
from exuvia.readers import read_npy, read_npz
from exuvia.registry import EXPORTER

HUNGRY: dict[str, Callable[[], bytes]] = {
    "joints.bvh": lambda: bvh(4050, 100_000).encode(),
    "few.bvh": lambda: bvh(4050, 3000).encode(),
    "wide.bvh": lambda: bvh(500, 120_000).encode(),
    "long.txt": lambda: deepmimic(5000, 9.9).encode(),
    "slow.npz": lambda: npz(joints=np.zeros((14, 22, 3)), fps=1e-4),
    "slower.npz": lambda: npz(joints=JOINTS, fps=1e-7),
    "frames.npz": lambda: npz(compressed=True, joints=np.zeros((900_000, 22, 3), np.int8)),
    "large.npz": lambda: npz(compressed=True, joints=np.zeros((600_000, 1, 1), np.int8), poses=np.zeros((1, 1))),
}
CHILD = """
import resource, sys, time
import numpy, scipy.spatial.transform
from exuvia.motion.load import load_clip
from exuvia.motion import arrays, asfamc, bvh, deepmimic
from exuvia.errors import ExuviaError
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)
for path in sys.argv[1:]:
    start = time.process_time()
    try:
        load_clip(path)
        print("read", path)
    except ExuviaError as error:
        print("refused" if time.process_time() - start < 3 else "slow", str(error))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_a_small_file_takes_neither_memory_nor_time(tmp_path: Path) -> None:
    for name, make in HUNGRY.items():
        (tmp_path / name).write_bytes(make())
    paths = [str(tmp_path / name) for name in HUNGRY]
    done = subprocess.run([sys.executable, "-c", CHILD, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [f"refused {name}" for name in HUNGRY]


def test_a_caller_may_allow_less(tmp_path: Path) -> None:
    with np.load(Path(__file__).with_name("frozen_motions.npz")) as motions:
        walk = next(m for m in motions.values() if m.ndim == 3 and m.shape[1:] == (22, 3))
    np.save(tmp_path / "walk.npy", walk[:30])
    assert load_clip(tmp_path / "walk.npy", max_frames=30).frames == 30
    assert "at most 29" in refused(lambda: load_clip(tmp_path / "walk.npy", max_frames=29), kind=DataError)
    assert "at most 59" in refused(lambda: load_clip(tmp_path / "walk.npy", fps=40.0, max_frames=59), kind=DataError)
    with pytest.raises(ShapeError, match="check both rates"):
        Clip(walk[:30], fps=1e-7).resampled()


SHAPES = st.lists(st.integers(-3, 10**13), max_size=4).map(tuple)
KINDS = st.sampled_from(["<f4", "<f8", "|O", "<U3", "|S0", "<c16", "|V9", [("a", "<f4")], "nonsense", 3, None])


@QUICK
@given(shape=SHAPES, kind=KINDS, order=st.sampled_from([True, False, 0]), size=st.integers(0, 600))
def test_a_header_that_lies_takes_no_memory(
    shape: tuple[int, ...], kind: Any, order: Any, size: int, tmp_path: Path
) -> None:
    content = header(repr({"descr": kind, "fortran_order": order, "shape": shape}) + "\n", b"\0" * size)
    (tmp_path / "a.npy").write_bytes(content)
    (tmp_path / "a.npz").write_bytes(archive(joints_npy=content))
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000, before[1]))
    try:
        for read in (read_npy, lambda path: read_npy(path, mapped=True)):
            value_or_sentence(lambda read=read: read(tmp_path / "a.npy"))  # type: ignore[misc]
        value_or_sentence(lambda: read_npz(tmp_path / "a.npz", ("joints",)))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


BODIES = {
    "zero": np.zeros((4, 22, 3)), "one place": np.ones((4, 22, 3)), "largest": np.full((4, 22, 3), 3e38),
    "huge": JOINTS * 1e30, "far": JOINTS * 1e5, "tiny": JOINTS * 1e-30, "flat": JOINTS * [1, 0, 1],
}  # fmt: skip
BODIES |= {"still": np.repeat(JOINTS[:1], 2, 0), "half": np.where(np.arange(22)[:, None] < 12, 0, JOINTS)}


@pytest.mark.parametrize("suffix", sorted({*EXPORTER} - {".gif"}))  # written by the code of .mp4
@pytest.mark.parametrize("body", BODIES)
def test_any_body_becomes_a_file_or_one_sentence(body: str, suffix: str, tmp_path: Path) -> None:
    if suffix == ".mp4":
        pytest.importorskip("av")
    target = tmp_path / f"a{suffix}"
    value_or_sentence(lambda: Clip(BODIES[body].astype(np.float32)).save(target))
    assert [path.name for path in tmp_path.iterdir()] in ([], [target.name])
