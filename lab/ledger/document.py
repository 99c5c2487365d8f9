"""Documents with tables that commands fill in: what stands between `<!--table:NAME-->` and `<!--/table-->`."""

from pathlib import Path

from exuvia.errors import DataError
from exuvia.files import write_text


def fill(document: str, name: str, table: str) -> str:
    """A document with the part between `<!--table:NAME-->` and the next `<!--/table-->` replaced.

    Raises:
        DataError: there is no such part.
    """
    opening = f"<!--table:{name}-->"
    before, found, rest = document.partition(opening)
    _, closed, after = rest.partition("<!--/table-->")
    if not found or not closed:
        raise DataError(f"found no part between {opening} and <!--/table-->, expected one to put the table in")
    return f"{before}{opening}\n\n{table.strip()}\n\n<!--/table-->{after}"


def check_place(path: Path, name: str) -> None:
    """Refuse now, rather than after a long run, a document without a place. Raises DataError."""
    fill(_read(path), name, "")


def fill_file(path: Path, name: str, table: str) -> None:
    """Put a table into a document. Raises DataError, OutputError."""
    write_text(path, fill(_read(path), name, table))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a readable document ({error})") from None
