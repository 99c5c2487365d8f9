"""Shared fixtures: where the development data and the golden vectors lie, when they are there."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# The same examples in every run: a change passes or fails by what it changed. `make test-random` draws new ones.
settings.register_profile("fixed", derandomize=True)


def _folder(variable: str, default: str) -> Path:
    path = Path(os.environ.get(variable) or ROOT.parent / "shared" / default)
    if not path.is_dir():
        pytest.skip(f"{variable} names no folder and ../shared/{default} does not exist")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The development data (licence-bound, never part of the project)."""
    return _folder("EXUVIA_DATA", "data")


@pytest.fixture(scope="session")
def goldens() -> Path:
    """Golden vectors of the official implementations."""
    return _folder("EXUVIA_GOLDENS", "goldens")
