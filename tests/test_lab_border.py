"""The border between the product and the laboratory: the laboratory imports the product, never the reverse."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from lab.table import COMMAND

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = [path for source in (ROOT / "src", *ROOT.glob("packages/*/src")) for path in sorted(source.rglob("*.py"))]


@pytest.mark.parametrize("package", ["exuvia", "exuvia_ssm", "exuvia_base", "exuvia_research"])
def test_every_wheel_is_looked_at(package: str) -> None:
    assert any(package in path.parts for path in PRODUCT)


def test_no_file_of_the_product_knows_the_laboratory() -> None:
    known = []
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []
            known += [f"{path}:{name}" for name in names if name.partition(":")[0].split(".")[0] == "lab"]
    assert not known


def test_names_that_stay_are_there() -> None:
    """Every `lab.module`: `name`, `name` of the laboratory's README."""
    text = (ROOT / "lab" / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`(lab\.[\w.]+)`: ((?:`\w+(?:\([^`]*\))?`(?:, )?)+)", text)
    assert len(named) >= 9
    for module, names in named:
        for name in re.findall(r"`(\w+)", names):
            assert hasattr(import_module(module), name), f"{module}.{name}"
    for command in ("goldens", "numbers", "scan", "formats"):
        assert f"`python -m lab {command}" in text
        assert command in COMMAND
