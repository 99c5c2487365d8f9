"""Settings of the tests, which need nothing beside exuvia_ssm, pytest and hypothesis."""

from hypothesis import settings

# The same examples in every run: a change passes or fails by what it changed.
settings.register_profile("fixed", derandomize=True)
