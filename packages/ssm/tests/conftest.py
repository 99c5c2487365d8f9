"""Settings of the tests, which need only exuvia_ssm, pytest and hypothesis."""

import os

from hypothesis import HealthCheck, settings

# torch's inductor imports setuptools, which refuses to load after the standard library's distutils.
os.environ.setdefault("SETUPTOOLS_USE_DISTUTILS", "stdlib")

# The same examples in every run: a change passes or fails by what it changed.
# No test is timed: a loaded machine must not decide.
_UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fixed", _UNTIMED, derandomize=True)
settings.register_profile("untimed", _UNTIMED)
settings.load_profile("untimed")
