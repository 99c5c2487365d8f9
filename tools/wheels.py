"""Builds the three wheels of this repository: exuvia-ssm, exuvia-base and exuvia."""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (ROOT / "packages" / "ssm", ROOT / "packages" / "base", ROOT)


def build(folder: Path) -> list[Path]:
    """Build all wheels into `folder` by pip, or by uv where there is no pip, and return their paths."""
    for package in PACKAGES:
        if importlib.util.find_spec("pip"):
            command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder)]
        else:
            command = ["uv", "build", "--quiet", "--wheel", "--out-dir", str(folder)]
        subprocess.run([*command, str(package)], check=True)
    return sorted(folder.glob("*.whl"))


def main() -> None:
    """Build the wheels and print their sizes."""
    parser = argparse.ArgumentParser(description="wheels of exuvia-ssm, exuvia-base and exuvia")
    parser.add_argument("folder", type=Path, help="where the wheels go")
    for path in build(parser.parse_args().folder):
        print(f"{path} {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
