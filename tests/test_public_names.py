"""`import exuvia` is light, and its public names work whatever was imported before."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "before",
    [
        "",
        "import exuvia.unlearning.base",
        "import exuvia.evaluation.suite, exuvia.unlearning.lcr",
        "exuvia.unlearn; exuvia.evaluate",
    ],
)
def test_unlearn_and_evaluate_are_callable(before: str) -> None:
    code = f"""
import exuvia
{before}
from exuvia.errors import ConfigError
for _ in range(2):
    try:
        exuvia.unlearn("lrc", None, forget="violence")
    except ConfigError as error:
        assert "did you mean 'lcr'" in str(error), error
    else:
        raise AssertionError("no error")
    assert callable(exuvia.evaluate)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, exuvia; assert not {'torch', 'numpy', 'scipy'} & set(sys.modules), 'heavy'"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_unknown_names_are_said() -> None:
    import exuvia

    with pytest.raises(AttributeError, match="pipline"):
        _ = exuvia.pipline
