"""The house rules, checked by machine: sizes, floors, docstrings, names that resolve, the tree in README.md."""

import ast
import builtins
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from exuvia import registry
from exuvia.commands.table import COMMAND, PART

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "exuvia"
FILES = sorted(SOURCE.rglob("*.py"))
ALL = [*FILES, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "tools").glob("*.py"))]
MAX_FILE_LINES, MAX_FUNCTION_LINES, MIN_PUBLIC_DOCSTRINGS = 400, 60, 0.9
MAX_KERNEL_LINES = 150

FLOOR = {
    "shapes": 0, "errors": 0,
    "registry": 1, "config": 1, "files": 1,
    "checkpoint": 2, "motion": 2, "text": 2,
    "features": 3, "view": 3, "synthetic": 3, "ssm": 3,
    "data": 4, "tokens": 4, "sequence": 4,
    "train": 5, "detour": 5, "noise": 3, "pipeline": 5, "assemble": 5, "unlearn": 5, "long": 5,
    "official": 5, "official_bamm": 5, "official_export": 5,
    "evaluate": 6, "report": 6, "recipes": 6, "bench": 6,
    "commands": 7, "goldens": 7, "studio": 7, "__main__": 7,
}  # fmt: skip
"""The table of docs/architecture.md."""


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path: Path) -> str:
    """The folder, or top-level module, that a file of the package belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def definitions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Every function and class of a file, inner ones too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Modules of the package that a file imports, wherever in it, with their lines."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names if name.name.split(".")[0] == "exuvia")
        elif isinstance(node, ast.ImportFrom) and node.module == "exuvia":
            yield from ((f"exuvia.{name.name}", node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("exuvia."):
            yield str(node.module), node.lineno


@pytest.mark.parametrize("path", ALL, ids=_id)
def test_file_is_not_too_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_FILE_LINES, f"{_id(path)} has {lines} lines; cut it by ideas"


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_functions_are_not_too_long(path: Path) -> None:
    found = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in definitions(path)
        if not isinstance(node, ast.ClassDef)
        and node.end_lineno
        and node.end_lineno - node.lineno >= (MAX_KERNEL_LINES if _is_kernel(node) else MAX_FUNCTION_LINES)
    ]
    assert not found


def _is_kernel(node: ast.AST) -> bool:
    """Whether a function is compiled for a GPU: one unit to the compiler, with an argument a line."""
    return any("jit" in ast.unparse(decorator) for decorator in getattr(node, "decorator_list", []))


@pytest.mark.parametrize("path", ALL, ids=_id)
def test_module_has_a_docstring(path: Path) -> None:
    if path.name == "__init__.py" and path.parent not in (SOURCE, SOURCE / "ssm"):
        assert not path.read_text(encoding="utf-8").strip(), "empty, except for public faces"
        return
    assert ast.get_docstring(tree(path)), "the first line says what the file is"


def test_public_names_have_docstrings() -> None:
    public = [
        (f"{_id(path)}: {name}", bool(ast.get_docstring(node)))
        for path in FILES
        for name, node in _public(tree(path).body, "")
    ]
    missing = [name for name, has in public if not has]
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


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_imports_go_down(path: Path) -> None:
    mine = place(path)
    if mine == "__init__":
        return
    assert mine in FLOOR, "give it a floor, here and in docs/architecture.md"
    bad = []
    for name, line in imported(path):
        other = name.split(".")[1] if "." in name else ""
        if other in FLOOR and other != mine and FLOOR[other] >= FLOOR[mine]:
            if (mine, other) in SIDEWAYS:
                continue
            bad.append(f"line {line}: {mine} (floor {FLOOR[mine]}) imports {name} (floor {FLOOR[other]})")
    assert not bad


SIDEWAYS = {
    ("config", "registry"),
    ("__main__", "commands"),
    ("pipeline", "detour"),
    ("assemble", "pipeline"),
    ("official_bamm", "official"),
    ("official_export", "official"),
    ("long", "pipeline"),
    ("official_export", "pipeline"),
    ("unlearn", "detour"),
    ("unlearn", "pipeline"),
    ("unlearn", "train"),
    ("recipes", "evaluate"),
    ("report", "evaluate"),
}
"""Imports within a floor: the one uses the other's names, and never the other way round."""


def test_every_place_has_a_floor_and_the_document_says_the_same() -> None:
    places = {place(path) for path in FILES} - {"__init__"}
    assert places <= set(FLOOR), f"no floor for {sorted(places - set(FLOOR))}"
    rows = re.findall(r"^\| (\d) \| (.+?) \|", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), re.M)
    written = {
        name.strip("/").removesuffix(".py"): int(floor)
        for floor, names in rows
        for name in re.findall(r"`(.+?)`", names)
    }
    assert written == FLOOR


def test_folders_do_not_import_one_another_in_a_circle() -> None:
    edges: dict[str, set[str]] = {}
    for path in FILES:
        for name, _ in imported(path):
            other = name.split(".")[1] if "." in name else ""
            if other in FLOOR and other != place(path):
                edges.setdefault(place(path), set()).add(other)
    order: list[str] = []

    def visit(node: str, above: tuple[str, ...]) -> None:
        assert node not in above, f"circle: {' -> '.join((*above, node))}"
        if node not in order:
            for other in sorted(edges.get(node, ())):
                visit(other, (*above, node))
            order.append(node)

    for node in sorted(edges):
        visit(node, ())


@pytest.mark.parametrize("path", [p for p in FILES if place(p) not in ("commands", "__main__")], ids=_id)
def test_only_commands_print(path: Path) -> None:
    lines = [
        node.lineno
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not lines, "use logging.getLogger(__name__)"


@pytest.mark.parametrize("path", ALL, ids=_id)
def test_no_shortcuts(path: Path) -> None:
    bad = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and any(name.name == "*" for name in node.names):
            bad.append(f"line {node.lineno}: star import")
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            bad.append(f"line {node.lineno}: bare except")
        if isinstance(node, ast.Attribute) and node.attr == "path" and getattr(node.value, "id", "") == "sys":
            bad.append(f"line {node.lineno}: sys.path")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _names_a_home(node.value):
            bad.append(f"line {node.lineno}: absolute path {node.value!r}")
    assert not bad


def _names_a_home(text: str) -> bool:
    return bool(re.match(r"(/(home|root|Users|work|mnt|data|opt|tmp|scratch)/|[A-Z]:\\)", text))


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_no_assert_stands_for_a_check_of_input(path: Path) -> None:
    calls = [
        node.lineno
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assert) and isinstance(node.msg, ast.Call | ast.Name)
    ]
    assert not calls, "raise a child of ExuviaError"


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_no_commented_out_code(path: Path) -> None:
    found = [
        f"line {number}: {text}"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if (match := re.match(r"\s*#\s?(.+)$", line)) and _is_code(text := match.group(1).strip())
    ]
    assert not found


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


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_names_say_what_they_are(path: Path) -> None:
    assert path.stem not in {"utils", "util", "common", "misc", "helpers", "helper", "tools"}
    shadows = path.stem in sys.stdlib_module_names and path.parent == SOURCE
    assert not shadows, f"{path.name} has the name of a standard module"
    taken = [node.name for node in tree(path).body if isinstance(node, ast.FunctionDef) and node.name in dir(builtins)]
    assert not taken, "functions do not take the names of built-ins"


TABLES = {
    name: table for name, table in vars(registry).items() if name.isupper() and isinstance(table, dict)
} | {"PART": PART, "COMMAND": {name: entry.target for name, entry in COMMAND.items()}}  # fmt: skip


@pytest.mark.parametrize(
    "line", [pytest.param(target, id=f"{t}[{name}]") for t, table in TABLES.items() for name, target in table.items()]
)
def test_registry_line_resolves(line: str) -> None:
    module, _, attribute = line.partition(":")
    assert hasattr(import_module(module), attribute)


def test_readme_lists_every_folder_and_top_module() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    names = {place(path) for path in FILES} - {"__init__"}
    missing = [name for name in sorted(names) if not re.search(rf"(?m)^\s*{name}(\.py|/)\s", text)]
    assert not missing, "give each its line in the tree of README.md"


def test_equation_keys_are_in_the_bibliography() -> None:
    bibliography = (ROOT / "docs" / "papers.bib").read_text(encoding="utf-8")
    known = set(re.findall(r"(?m)^@\w+\{([^,\s]+),", bibliography))
    cited = {
        (key, _id(path))
        for path in FILES
        for key in re.findall(r"\[([a-z]+\d{4}[a-z0-9]+)\]", path.read_text(encoding="utf-8"))
    }
    missing = sorted({(key, where) for key, where in cited if key not in known})
    assert not missing, "add the paper to docs/papers.bib"


def test_list_of_equations_is_current() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "equations.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr + "run: make docs-equations"


def statements(path: Path) -> int:
    """Lines of a file that are neither blank, comment nor docstring."""
    text = path.read_text(encoding="utf-8")
    kept = {n for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.strip().startswith("#")}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            kept -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(kept)


def test_tests_are_not_far_fewer_than_code() -> None:
    code = sum(statements(path) for path in FILES)
    tests = sum(statements(path) for path in (ROOT / "tests").rglob("*.py"))
    assert tests >= 0.4 * code, f"{tests} lines of tests for {code} of code"
