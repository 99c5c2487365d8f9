"""Renders documents from templates: X.md.in with quotations of the ledger becomes X.md; both are committed.

A template is a Jinja template of the document. It may call, with names of rows:

    {{ n("lcr.edit_s", 3) }}           0.061           decimals; or a format, as ",.0f"; three digits without
    {{ percent("a.share") }}           51 %
    {{ spread("a.b", 2) }}             1.93 ± 0.12     half the interval
    {{ limits("a.b", 2) }}             1.93 [1.81, 2.06]
    {{ source("LRA README") }}         LRA README      says where a table line's numbers were published
    {{ benchmark_table("kick", "none lcr") }}          a table of tables.py
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jinja2 import Environment, StrictUndefined, TemplateError

from exuvia.errors import DataError, ExuviaError
from exuvia.files import write_text
from lab.ledger.numbers import read_rows
from lab.ledger.quotes import CLOSE, OPEN, SOURCED, Quotes, source
from lab.ledger.tables import FUNCTIONS

SUFFIX = ".in"
COPIES = {
    "configs/base-card.md": "packages/research/src/exuvia_research/base/README.md",
    "configs/base-free-card.md": "packages/base/src/exuvia_base/base-free/README.md",
}
"""Documents that are copied to a second place."""
_QUOTED = re.compile(f"{OPEN}.*?{CLOSE}", re.DOTALL)
_DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.]*\.\d)")


@dataclass(frozen=True)
class Report:
    """The result of a check of the documents."""

    quoted: frozenset[str]
    """Names of rows."""
    rows: int
    problems: tuple[str, ...]
    """One line each."""


@dataclass(frozen=True)
class _Page:
    template: Path
    document: Path
    marked: str
    """Render the document, with marks around text from the ledger."""
    problems: tuple[str, ...]

    @property
    def text(self) -> str:
        return re.sub(f"[{OPEN}{CLOSE}{SOURCED}]", "", self.marked)


def check_documents(root: Path, ledger: Path) -> Report:
    """Render every template and compare it with the committed document; check rows, quotations and tables of results.

    Raises:
        DataError: the ledger or a document is not readable text.
    """
    rows, problems = read_rows(ledger)
    quotes, rendered = Quotes(rows), set()
    for page in _pages(root, quotes):
        place = page.template.relative_to(root)
        problems += [f"{place}: {problem}" for problem in page.problems]
        rendered.add(page.document)
        if not page.problems:
            problems += _differences(root, page)
            problems += _unmarked(root, page.document, page.marked)
    for path in sorted((root / "docs" / "results").rglob("*.md")):
        if path not in rendered:
            problems += _unmarked(root, path, _read(path))
    return Report(frozenset(quotes.used), len(rows), tuple(problems))


def write_documents(root: Path, ledger: Path) -> list[Path]:
    """Render every template without a problem; return the documents that changed.

    Raises:
        DataError: the ledger or a template is not readable text.
        OutputError: a document cannot be written.
    """
    changed = []
    for page in _pages(root, Quotes(read_rows(ledger)[0])):
        if not page.problems and (not page.document.is_file() or _read(page.document) != page.text):
            write_text(page.document, page.text)
            changed.append(page.document)
    return changed


def unmarked_cells(marked: str) -> Iterator[tuple[int, str]]:
    """Return line numbers and decimal numbers in tables that come from neither a row nor a source."""
    fenced = False
    text = _QUOTED.sub(lambda match: "\n" * match[0].count("\n"), marked)
    for number, line in enumerate(text.splitlines(), start=1):
        fenced ^= line.lstrip().startswith("```")
        if not fenced and line.lstrip().startswith("|") and SOURCED not in line:
            if match := _DECIMAL.search(re.sub(r"`[^`]*`", "", line)):
                yield number, match.group()


def _pages(root: Path, quotes: Quotes) -> Iterator[_Page]:
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.globals |= _functions(quotes)
    for template in templates(root):
        quotes.problems, text, marked = [], _read(template), ""
        try:
            marked = environment.from_string(text).render()
        except TemplateError as error:
            quotes.problems.append(f"line {getattr(error, 'lineno', None) or '?'}: {error}")
        except (TypeError, ValueError, ExuviaError) as error:
            quotes.problems.append(str(error))
        document = template.with_name(template.name.removesuffix(SUFFIX))
        copy = COPIES.get(str(document.relative_to(root)))
        for place in (document, *([root / copy] if copy else [])):
            yield _Page(template, place, marked, tuple(quotes.problems))


def templates(root: Path) -> list[Path]:
    """Return the templates of README.md and below docs/ and configs/."""
    places = [
        root / f"README.md{SUFFIX}",
        *(root / "docs").rglob(f"*.md{SUFFIX}"),
        *(root / "configs").glob(f"*{SUFFIX}"),
    ]
    return sorted(path for path in places if path.is_file())


def _functions(quotes: Quotes) -> Mapping[str, object]:
    own = {"n": quotes.value, "percent": quotes.percent, "spread": quotes.spread, "limits": quotes.limits}
    return {**own, "source": source, **{each.__name__: partial(each, quotes) for each in FUNCTIONS}}


def _differences(root: Path, page: _Page) -> Iterator[str]:
    """Return at most one problem: the first line that differs from the rendering."""
    name, mend = page.document.relative_to(root), "run: python -m lab numbers --fix"
    if not page.document.is_file():
        yield f"{name} is missing, expected the rendering of {page.template.name}; {mend}"
        return
    there, wanted = _read(page.document), page.text
    if there != wanted:
        pairs = zip([*there.splitlines(), ""], [*wanted.splitlines(), ""], strict=False)
        line = next((n for n, (a, b) in enumerate(pairs, start=1) if a != b), 1)
        yield f"{name}:{line}: differs from the rendering of {page.template.name}; change that one, then {mend}"


def _unmarked(root: Path, document: Path, marked: str) -> Iterator[str]:
    place = document.relative_to(root)
    if place == Path("README.md") or "results" in place.parts:
        for line, number in unmarked_cells(marked):
            yield f"{place}:{line}: table cell holds {number}, for which there is no row and no source"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable document ({error})") from None
