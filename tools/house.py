"""The figures of the code base: sizes, floors, imports, commands and options. `make house` prints them, and
tests/test_house.py checks their limits.

A *place* is a folder of `src/exuvia` or a module next to them. It has a floor and imports from lower floors only.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from options import count_commands, count_options

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "exuvia"
WHEELS = {
    "exuvia": SOURCE,
    "exuvia-ssm": ROOT / "packages" / "ssm" / "src" / "exuvia_ssm",
    "exuvia-base": ROOT / "packages" / "base" / "src" / "exuvia_base",
    "exuvia-research": ROOT / "packages" / "research" / "src" / "exuvia_research",
}
LAB = ROOT / "lab"
TESTS = (ROOT / "tests", ROOT / "packages" / "ssm" / "tests")

FLOOR = {
    "shapes": 0, "errors": 0, "registry": 0, "signals": 0, "ssm": 0,
    "config": 1, "device": 1, "progress": 1, "readers": 1, "tables": 1,
    "files": 2,
    "checkpoint": 3, "cache": 3, "train_settings": 3, "optimizer": 3, "motion": 3, "tokens": 3, "sequence": 3,
    "text": 4, "features": 4, "view": 4, "synthetic": 4, "run_folder": 4,
    "data": 5, "train": 5,
    "codes": 6, "judges": 6, "pipeline": 6,
    "unlearning": 7, "published": 7, "recipes": 7,
    "evaluation": 8,
    "report": 9,
    "studio": 10,
    "commands": 11,
    "__main__": 12,
}  # fmt: skip
"""The table of docs/architecture.md: a place imports from lower floors only, never from its own or a higher one."""

DOORS = {
    "src/exuvia/readers.py": "JSON, TOML, .npy, .npz, safetensors as NumPy arrays",
    "src/exuvia/checkpoint.py": "safetensors as tensors, files of torch.save",
    "src/exuvia/text/word_lists.py": "the published pickles of words",
}
"""The only modules of product and laboratory that call the libraries which read files of others."""
READING = {
    "json": {"load", "loads"}, "tomllib": {"load", "loads"}, "numpy": {"load", "loadtxt", "genfromtxt"},
    "torch": {"load"}, "pickle": {"load", "loads", "Unpickler"}, "safetensors": {"safe_open"},
    "safetensors.torch": {"load_file", "load"}, "safetensors.numpy": {"load_file", "load"},
}  # fmt: skip
"""Library -> functions that read; each stands behind one door, which refuses damaged files in one sentence."""
BY_NAME = {"registry.py", "commands/table.py"}
"""Files of `exuvia` in which strings may name modules: tables of what a user asks for by name."""
LIMITS = {
    "lines of product Python": 32_000,
    "lines of the longest file": 400,
    "lines of the longest function": 60,
    "lines of the longest kernel": 100,
    "commands": 30,
    "options": 400,
    "upward or sideways imports": 0,
    "imports by string": 0,
    "circles of folders": 0,
    "settings systems": 1,
}


@dataclass(frozen=True)
class Import:
    """One import of a module of the project."""

    path: Path
    line: int
    module: str
    """The dotted name, such as `exuvia.motion.clip`."""


def product() -> list[Path]:
    """The Python files of all wheels."""
    return [path for folder in WHEELS.values() for path in sorted(folder.rglob("*.py"))]


def laboratory() -> list[Path]:
    """The Python files of the laboratory."""
    return sorted(LAB.rglob("*.py"))


def tests() -> list[Path]:
    """The Python files of all tests."""
    return [path for folder in TESTS for path in sorted(folder.rglob("*.py"))]


def lines(path: Path) -> int:
    """Lines of a file, all of them."""
    return len(path.read_text(encoding="utf-8").splitlines())


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def statements(path: Path) -> int:
    """Lines of a file that are neither blank, comment nor docstring."""
    text = path.read_text(encoding="utf-8")
    kept = {n for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.strip().startswith("#")}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            kept -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(kept)


def place(path: Path) -> str:
    """Return the folder of `src/exuvia`, or the module next to the folders, to which a file belongs."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[Import]:
    """Imports of the project's modules in a file, wherever they stand; those for type checkers only are left out."""
    hidden = {
        id(inner)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree(path)):
        if id(node) in hidden:
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "exuvia":
            names = [f"exuvia.{alias.name}" for alias in node.names if not alias.name.startswith("__")]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            if name.split(".")[0] in ("exuvia", "exuvia_ssm", "exuvia_base", "exuvia_research", "lab"):
                yield Import(path, node.lineno, name)


def wrong_imports() -> list[str]:
    """Imports in `exuvia` that do not go to a lower floor, or that name the laboratory or a place without a floor."""
    wrong = []
    for path in sorted(SOURCE.rglob("*.py")):
        mine = place(path)
        if mine == "__init__":
            continue
        for one in imports(path):
            where = f"{path.relative_to(ROOT)}:{one.line} imports {one.module}"
            root, _, rest = one.module.partition(".")
            other = rest.split(".")[0]
            if root == "lab":
                wrong.append(f"{where}, of the laboratory")
            elif root == "exuvia" and other and other != mine:
                if other not in FLOOR or mine not in FLOOR:
                    wrong.append(f"{where}: {other if other not in FLOOR else mine} has no floor")
                elif FLOOR[other] >= FLOOR[mine]:
                    wrong.append(f"{where}: from floor {FLOOR[mine]} to floor {FLOOR[other]}")
    for path in sorted(WHEELS["exuvia-ssm"].rglob("*.py")):
        wrong += [
            f"{path.relative_to(ROOT)}:{one.line} imports {one.module}; the layers stand alone"
            for one in imports(path)
            if not one.module.startswith("exuvia_ssm")
        ]
    return wrong


def string_imports() -> list[str]:
    """Modules of the project that code names in a string, outside the tables that resolve a user's words.

    The word after `-m` in a list starts another process and is no import.
    """
    named = re.compile(r"(exuvia|exuvia_ssm|lab)(\.\w+)+(:\w+)?")
    wrong = []
    for path in sorted(SOURCE.rglob("*.py")):
        if str(path.relative_to(SOURCE)) in BY_NAME:
            continue
        started = {
            id(word)
            for node in ast.walk(tree(path))
            if isinstance(node, ast.List)
            for before, word in zip(node.elts, node.elts[1:], strict=False)
            if isinstance(before, ast.Constant) and before.value == "-m"
        }
        wrong += [
            f"{path.relative_to(ROOT)}:{node.lineno} names {node.value!r}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and named.fullmatch(node.value)
            and id(node) not in started
        ]
    return wrong


def wrong_readers() -> list[str]:
    """Calls of a library that reads files of others, outside the module that guards it."""
    wrong = []
    for path in [*product(), *laboratory(), *sorted((ROOT / "tools").glob("*.py"))]:
        if (name := str(path.relative_to(ROOT))) in DOORS or name.startswith("lab/campaign/"):
            continue  # the campaign checks the guarded doors with the libraries behind them
        known = {"np": "numpy"}
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import):
                known |= {one.asname or one.name: one.name for one in node.names}
            elif isinstance(node, ast.ImportFrom):
                read = READING.get(node.module or "", set())
                wrong += [f"{name}:{node.lineno} {node.module}.{one.name}" for one in node.names if one.name in read]
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Attribute):
                library = ast.unparse(node.value)
                if node.attr in READING.get(known.get(library, library), ()):
                    wrong.append(f"{name}:{node.lineno} {library}.{node.attr}")
    return wrong


def circles() -> list[str]:
    """Circles of folders that import one another."""
    edges: dict[str, set[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for one in imports(path):
            other = one.module.partition(".")[2].split(".")[0]
            if one.module.startswith("exuvia.") and other in FLOOR and other != place(path):
                edges.setdefault(place(path), set()).add(other)
    seen, closed = set[str](), list[str]()

    def visit(node: str, above: tuple[str, ...]) -> None:
        if node in above:
            closed.append(" -> ".join((*above[above.index(node) :], node)))
        elif node not in seen:
            seen.add(node)
            for other in sorted(edges.get(node, ())):
                visit(other, (*above, node))

    for node in sorted(edges):
        visit(node, ())
    return closed


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a file, inner ones too."""
    yield from (n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def is_kernel(node: ast.AST) -> bool:
    """Whether a function is compiled for a GPU: the compiler needs it in one piece, with one argument per line."""
    return any("jit" in ast.unparse(decorator) for decorator in getattr(node, "decorator_list", []))


def function_lines(kernels: bool) -> dict[str, int]:
    """Length of every function of the product and the laboratory, by place and name."""
    return {
        f"{path.relative_to(ROOT)}: {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in [*product(), *laboratory()]
        for node in functions(path)
        if is_kernel(node) == kernels
    }


def settings_systems() -> list[str]:
    """Systems of settings in `exuvia`: the decorator of config.py, and dataclasses named like settings without it."""
    plain = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
        and node.name.endswith(("Config", "Recipe", "Settings"))
        and any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
    ]
    return ["exuvia.config.settings", *plain]


@cache
def figures() -> dict[str, float]:
    """Every figure with a limit, and a few others."""
    sizes = {name: sum(map(lines, folder.rglob("*.py"))) for name, folder in WHEELS.items()}
    code, proof = sum(map(statements, product())), sum(map(statements, tests()))
    return {
        "lines of product Python": sum(sizes.values()),
        **{f"lines of {name}": size for name, size in sizes.items()},
        "lines of the laboratory": sum(map(lines, laboratory())),
        "lines of tests": sum(map(lines, tests())),
        "statements of tests over those of the product": round(proof / code, 2),
        "lines of the longest file": max(map(lines, [*product(), *laboratory(), *tests()])),
        "lines of the longest function": max(function_lines(kernels=False).values()),
        "lines of the longest kernel": max(function_lines(kernels=True).values()),
        "commands": count_commands(),
        "options": count_options(),
        "upward or sideways imports": len(wrong_imports()),
        "imports by string": len(string_imports()),
        "circles of folders": len(circles()),
        "settings systems": len(settings_systems()),
    }


def main() -> int:
    """Print the figures with their limits; return 1 if a limit is exceeded."""
    values, beyond = figures(), 0
    for name, value in values.items():
        limit = LIMITS.get(name)
        over = limit is not None and value > limit
        beyond += over
        note = "" if limit is None else f"   limit {limit:,}{'   BEYOND' if over else ''}"
        print(f"{name:<48} {value:>10,}{note}")
    for wheel in sorted((ROOT / "dist").glob("*.whl")):
        print(f"{wheel.name:<48} {wheel.stat().st_size / 1e6:>7.2f} MB")
    return int(beyond > 0)


if __name__ == "__main__":
    raise SystemExit(main())
