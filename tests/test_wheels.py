"""Wheels and sdists: what is in them, how large they are, and that the layers run from their wheel alone."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import wheels

import exuvia

ROOT = Path(__file__).resolve().parents[1]
MAX_MB = {"exuvia_ssm": 0.5, "exuvia": 2.5, "exuvia_base": 35.0, "exuvia_research": 30.0}
SOURCE = {name: ROOT / "packages" / name.removeprefix("exuvia_") / "src" for name in MAX_MB} | {"exuvia": ROOT / "src"}
LICENCE = {"exuvia_base": "CC-BY-SA-4.0", "exuvia_research": "LicenseRef-Research-Non-Commercial"}
INSIDE = {
    "exuvia_ssm": ("py.typed", "cpu/scan.cpp", "cpu/lanes.h", "gpu/backward.py"),
    "exuvia": ("py.typed", "view/assets/player.js", "studio/assets/studio.js"),
    "exuvia_base": ("py.typed", "base-free/base.safetensors", "base-free/README.md", "evaluator/weights.safetensors"),
    "exuvia_research": ("py.typed", "base/mask.safetensors", "base/README.md"),
}
FORWARD = """
import sys, torch, exuvia_ssm
assert exuvia_ssm.__file__.startswith(sys.argv[1]), exuvia_ssm.__file__
y = exuvia_ssm.Mamba(8)(torch.randn(2, 30, 8))
assert y.shape == (2, 30, 8) and y.isfinite().all()
assert not {"exuvia", "exuvia_base", "exuvia_research", "lab"} & set(sys.modules)
"""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return wheels.build(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def built(distributions: list[Path]) -> dict[str, Path]:
    return {path.name.split("-")[0]: path for path in distributions if path.suffix == ".whl"}


@pytest.fixture(scope="module")
def sources(distributions: list[Path]) -> dict[str, Path]:
    return {path.name.split("-")[0]: path for path in distributions if path.name.endswith(".tar.gz")}


def members(wheel: Path) -> dict[str, bytes]:
    """Content of a wheel by the names of its files."""
    with zipfile.ZipFile(wheel) as archive:
        return {file: archive.read(file) for file in archive.namelist()}


@pytest.mark.slow
@pytest.mark.parametrize("name", MAX_MB)
def test_a_wheel_is_small_and_holds_what_it_needs_and_no_more(built: dict[str, Path], name: str) -> None:
    assert built[name].stat().st_size <= MAX_MB[name] * 1e6
    files = members(built[name])
    (metadata,) = (text.decode() for file, text in files.items() if file.endswith(".dist-info/METADATA"))
    assert {file.split("/")[0] for file in files} == {name, f"{name}-{exuvia.__version__}.dist-info"}
    assert not [file for file in files if re.search(r"(^|/)(tests?|lab)/|test_\w+\.py|conftest|\.pyc$|\.map$", file)]
    assert {f"{name}/{file}" for file in INSIDE[name]} <= set(files)
    sources = {path.relative_to(SOURCE[name]).as_posix() for path in (SOURCE[name] / name).rglob("*") if path.is_file()}
    assert {path for path in sources if "__pycache__" not in path} <= set(files)
    assert f"Version: {exuvia.__version__}\n" in metadata
    assert f"License-Expression: {LICENCE.get(name, 'MIT')}\n" in metadata
    assert "Project-URL: Repository, https://github.com/exuvia/exuvia\n" in metadata


@pytest.mark.slow
@pytest.mark.parametrize("name", MAX_MB)
def test_an_sdist_holds_its_package_alone_and_gives_the_same_wheel(
    built: dict[str, Path], sources: dict[str, Path], name: str, tmp_path: Path
) -> None:
    assert sources[name].stat().st_size <= MAX_MB[name] * 1e6
    with tarfile.open(sources[name]) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    around = {"PKG-INFO", "pyproject.toml", "README.md", "LICENSE", ".gitignore"}
    assert {path.name for path in folder.iterdir()} == around | {"src"} | ({"tests"} if name == "exuvia_ssm" else set())
    assert [path.name for path in (folder / "src").iterdir()] == [name]
    (wheel,) = wheels.build(tmp_path / "again", (folder,), "wheel")
    assert members(wheel) == members(built[name])


@pytest.mark.slow
def test_mamba_runs_from_the_wheel_of_the_layers_alone(built: dict[str, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(built["exuvia_ssm"]) as archive:
        archive.extractall(tmp_path)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", FORWARD, str(tmp_path)], cwd=tmp_path, env=env, check=True)
