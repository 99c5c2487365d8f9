"""The house rules, checked by machine: sizes, floors, docstrings, names that resolve, the tree in CONTRIBUTING.md."""

import ast
import builtins
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import house
import pytest

from exuvia import registry
from exuvia.commands.table import COMMAND
from exuvia_ssm.registry import LAYER
from lab.parity.cases import GOLDEN
from lab.table import COMMAND as EXPERIMENT

ROOT = house.ROOT
CODE = [*house.product(), *house.laboratory()]
ALL = [*CODE, *house.tests(), *sorted((ROOT / "tools").glob("*.py"))]
PRINTING = ("commands", "__main__.py", "__main__")
MIN_PUBLIC_DOCSTRINGS = 0.9
TESTS_OVER_CODE = 0.5
FACES = set(house.WHEELS.values())


def name(path: Path) -> str:
    """A file as messages show it."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("figure", house.LIMITS)
def test_figure_is_within_its_limit(figure: str) -> None:
    value = house.figures()[figure]
    assert value <= house.LIMITS[figure], f"found {value}; run: make house"


def test_imports_go_down() -> None:
    assert not house.wrong_imports()


def test_nothing_is_imported_by_a_string() -> None:
    assert not house.string_imports()


def test_files_of_others_are_read_through_the_doors_only() -> None:
    assert not house.wrong_readers(), f"use {', '.join(house.DOORS)}"


def test_folders_do_not_import_one_another_in_a_circle() -> None:
    assert not house.circles()


def test_there_is_one_kind_of_settings() -> None:
    assert house.settings_systems() == ["exuvia.config.settings"]


def test_every_place_has_a_floor_and_the_document_says_the_same() -> None:
    places = {house.place(path) for path in house.SOURCE.rglob("*.py")} - {"__init__"}
    assert places == set(house.FLOOR)
    rows = re.findall(r"^\| (\d+) \| (.+?) \|", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), re.M)
    written = {
        entry.strip("/").removesuffix(".py"): int(floor)
        for floor, names in rows
        for entry in re.findall(r"`(.+?)`", names)
    }
    assert written == house.FLOOR


def test_long_files_and_functions_are_named() -> None:
    files = [f"{name(path)}: {house.lines(path)}" for path in ALL if house.lines(path) > 400]
    long = [f"{where}: {size}" for where, size in house.function_lines(kernels=False).items() if size > 60]
    long += [f"{where}: {size}" for where, size in house.function_lines(kernels=True).items() if size > 100]
    assert not files + long, "cut them by ideas"


def test_modules_have_docstrings() -> None:
    wrong = []
    for path in ALL:
        empty = path.name == "__init__.py" and path.parent not in FACES
        if empty and path.read_text(encoding="utf-8").strip():
            wrong.append(f"{name(path)} is not empty; only the top modules of the wheels hold names")
        if not empty and not ast.get_docstring(house.tree(path)):
            wrong.append(f"{name(path)} has no docstring whose first line says what it is")
    assert not wrong


def test_public_names_have_docstrings() -> None:
    public = [
        (f"{name(path)}: {what}", bool(ast.get_docstring(node)))
        for path in CODE
        for what, node in _public(house.tree(path).body, "")
    ]
    missing = [what for what, has in public if not has]
    share = 1 - len(missing) / len(public)
    assert share >= MIN_PUBLIC_DOCSTRINGS, f"{share:.0%} of public names have a docstring; missing: {missing}"


def _public(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef]]:
    for node in body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if node.name == "forward":
            continue
        yield prefix + node.name, node
        if isinstance(node, ast.ClassDef):
            yield from _public(node.body, f"{node.name}.")


def test_only_commands_print() -> None:
    wrong = [
        f"{name(path)}:{node.lineno}"
        for path in house.product()
        if not set(PRINTING) & set(path.parts)
        for node in ast.walk(house.tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not wrong, "use logging.getLogger(__name__)"


def test_no_shortcuts() -> None:
    wrong = []
    for path in ALL:
        for node in ast.walk(house.tree(path)):
            if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
                wrong.append(f"{name(path)}:{node.lineno}: star import")
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                wrong.append(f"{name(path)}:{node.lineno}: bare except")
            if isinstance(node, ast.Attribute) and node.attr == "path" and getattr(node.value, "id", "") == "sys":
                wrong.append(f"{name(path)}:{node.lineno}: sys.path")
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _names_a_home(node.value):
                wrong.append(f"{name(path)}:{node.lineno}: absolute path {node.value!r}")
            if isinstance(node, ast.Assert) and isinstance(node.msg, ast.Call | ast.Name) and path in CODE:
                wrong.append(f"{name(path)}:{node.lineno}: assert instead of a child of ExuviaError")
    assert not wrong


def _names_a_home(text: str) -> bool:
    return bool(re.match(r"(/(home|root|Users|work|mnt|data|opt|tmp|scratch)/|[A-Z]:\\)", text))


def test_no_commented_out_code() -> None:
    wrong = [
        f"{name(path)}:{number}: {text}"
        for path in CODE
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if (match := re.match(r"\s*#\s?(.+)$", line)) and _is_code(text := match.group(1).strip())
    ]
    assert not wrong


def _is_code(text: str) -> bool:
    """Whether a comment is a statement: an assignment, a call, an import, a return or a block."""
    if not re.match(
        r"(import |from \S+ import |return\b|if .+:$|for .+:$|def |class |[\w.\[\]]+ ?[-+*/|]?= ?\S|[\w.]+\(.*\)$)",
        text,
    ):
        return False
    try:
        ast.parse(text if not text.endswith(":") else text + " pass")
    except SyntaxError:
        return False
    return True


def test_names_say_what_they_are() -> None:
    vague = {"utils", "util", "common", "misc", "helpers", "helper", "tools"}
    wrong = [name(path) for path in CODE if path.stem in vague]
    wrong += [
        f"{name(path)} has the name of a standard module"
        for path in house.product()
        if path.stem in sys.stdlib_module_names and path.parent in FACES and path.stem not in ("__init__", "__main__")
    ]
    wrong += [
        f"{name(path)}: {node.name} is a built-in"
        for path in CODE
        for node in house.tree(path).body
        if isinstance(node, ast.FunctionDef) and node.name in dir(builtins)
    ]
    assert not wrong


def test_registry_lines_resolve() -> None:
    tables = [table for key, table in vars(registry).items() if key.isupper() and isinstance(table, dict)]
    commands = [{key: entry.target for key, entry in table.items()} for table in (COMMAND, EXPERIMENT)]
    for table in [*tables, LAYER, GOLDEN, *commands]:
        for line in table.values():
            module, _, attribute = str(line).partition(":")
            assert hasattr(import_module(module), attribute), line


def test_the_tree_lists_every_folder_and_top_module() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    missing = [place for place in sorted(house.FLOOR) if not re.search(rf"(?m)^\s*{place}(\.py|/)\s", text)]
    assert not missing, "give each its line in the tree of CONTRIBUTING.md"


def test_equation_keys_are_in_the_bibliography() -> None:
    bibliography = (ROOT / "docs" / "papers.bib").read_text(encoding="utf-8")
    known = set(re.findall(r"(?m)^@\w+\{([^,\s]+),", bibliography))
    cited = {
        (key, name(path))
        for path in CODE
        for key in re.findall(r"\[([a-z]+\d{4}[a-z0-9]+)\]", path.read_text(encoding="utf-8"))
    }
    assert not sorted((key, where) for key, where in cited if key not in known), "add the paper to docs/papers.bib"


def test_list_of_equations_is_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "equations.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + "run: make docs-equations"


def test_tests_are_not_far_fewer_than_code() -> None:
    code = sum(house.statements(path) for path in house.product())
    proof = sum(house.statements(path) for path in house.tests())
    assert proof >= TESTS_OVER_CODE * code, f"{proof} lines of tests for {code} of code"
