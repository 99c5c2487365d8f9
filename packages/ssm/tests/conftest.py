"""Settings of the tests, which need only exuvia_ssm, pytest and hypothesis."""

import os

import pytest
import torch
from hypothesis import HealthCheck, settings

# torch's inductor imports setuptools, which refuses to load after the standard library's distutils.
os.environ.setdefault("SETUPTOOLS_USE_DISTUTILS", "stdlib")

# The same examples in every run: a change passes or fails by what it changed.
# No test is timed: a loaded machine must not decide.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fixed", _UNTIMED, derandomize=True)
settings.register_profile("untimed", _UNTIMED)
settings.load_profile("untimed")


@pytest.fixture
def whole_graph() -> None:
    """Skips where the compiler breaks up the graphs of the layers: PyTorch 2.4.0, 2.5.1 and 2.6.0, not 2.13.0."""
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 7):
        pytest.skip(f"the compiler of PyTorch {torch.__version__} does not trace these layers in one piece")
