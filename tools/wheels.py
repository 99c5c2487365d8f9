"""Builds wheel and source distribution of all packages of this repository."""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (*(ROOT / "packages" / name for name in ("ssm", "base", "research")), ROOT)


def build(folder: Path, packages: tuple[Path, ...] = PACKAGES, *targets: str) -> list[Path]:
    """Build the packages into `folder` and return the paths of all distributions there.

    Args:
        packages: folders that hold a pyproject.toml each
        targets: `wheel`, `sdist` or both, which is the default
    """
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder.resolve())]
    for target in targets or ("wheel", "sdist"):
        command += ["--target", target]
    for package in packages:
        subprocess.run(command, cwd=package, check=True, stdout=subprocess.DEVNULL)
    return sorted([*folder.glob("*.whl"), *folder.glob("*.tar.gz")])


def main() -> None:
    """Build the distributions and print their sizes."""
    parser = argparse.ArgumentParser(description="wheels and sdists of all packages")
    parser.add_argument("folder", type=Path, help="where the distributions go")
    for path in build(parser.parse_args().folder):
        print(f"{path} {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
