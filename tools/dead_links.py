"""Finds links of a built site that lead nowhere: `python tools/dead_links.py site`. Nothing is fetched."""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

OWN = ("href", "src", "data-src", "poster")


class _Page(HTMLParser):
    """Links and anchors of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := found.get(key))}
        self.links += [value for key in OWN if (value := found.get(key)) is not None]


def dead_links(site: Path) -> Iterator[str]:
    """A line for every link to a file or an anchor of the site that is not there; other sites are not checked.

    Raises:
        FileNotFoundError: the folder has no page.
    """
    pages: dict[Path, _Page] = {}
    for path in sorted(site.rglob("*.html")):
        pages[path.resolve()] = page = _Page()
        page.feed(path.read_text(encoding="utf-8"))
    if not pages:
        raise FileNotFoundError(f"{site} has no page; build it first: make docs")
    for path, page in pages.items():
        if path.name == "404.html":  # its links are absolute, for wherever the site is put
            continue
        for link in page.links:
            problem = _problem(link, path, pages, site.resolve())
            if problem:
                yield f"{path.relative_to(site.resolve())}: {link!r} {problem}"


def _problem(link: str, page: Path, pages: dict[Path, _Page], site: Path) -> str:
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return ""
    target = page if not parts.path else (page.parent / unquote(parts.path)).resolve()
    if target.is_dir():
        target = target / "index.html"
    if not target.is_relative_to(site):
        return "leads out of the site"
    if not target.is_file():
        return "does not exist"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "names an anchor that is not there"
    return ""


if __name__ == "__main__":
    dead = list(dead_links(Path(sys.argv[1] if len(sys.argv) > 1 else "site")))
    print("\n".join(dead) or "no dead link")
    sys.exit(bool(dead))
