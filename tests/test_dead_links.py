"""The checker of the built site sees what is broken, and nothing else."""

from pathlib import Path

import pytest
from dead_links import dead_links
from stage_docs import stage


def site(folder: Path, body: str) -> list[str]:
    (folder / "sub").mkdir()
    (folder / "a file.txt").write_text("x")
    (folder / "other.html").write_text('<h1 id="here">x</h1>')
    (folder / "sub" / "index.html").write_text('<a href="../index.html#top">up</a>')
    (folder / "index.html").write_text(f'<h1 id="top">x</h1>{body}')
    return list(dead_links(folder))


@pytest.mark.parametrize(
    "link",
    ["other.html", "other.html#here", "#top", "sub/", "a%20file.txt", "https://example.org/none", "mailto:a@b.c", "?q"],
)
def test_what_is_there_is_not_told(tmp_path: Path, link: str) -> None:
    assert site(tmp_path, f'<a href="{link}">x</a>') == []


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ("none.html", "does not exist"),
        ("other.html#gone", "names an anchor that is not there"),
        ("#gone", "names an anchor that is not there"),
        ("../outside.html", "leads out of the site"),
    ],
)
@pytest.mark.parametrize("tag", ['<a href="{}">x</a>', '<img src="{}">'])
def test_what_is_broken_is_told_with_its_page(tmp_path: Path, link: str, told: str, tag: str) -> None:
    (found,) = site(tmp_path, tag.format(link))
    assert found == f"index.html: {link!r} {told}"


def test_a_folder_without_pages_is_no_site(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make docs"):
        list(dead_links(tmp_path))


def test_files_outside_the_documents_are_copied_for_the_site(tmp_path: Path) -> None:
    docs, out = tmp_path / "docs", tmp_path / "build" / "docs"
    (docs / "sub").mkdir(parents=True)
    (tmp_path / "code.py").write_text("x = 1\n")
    (docs / "a.md").write_text("[code](../code.py#L1) [page](sub/b.md) [site](https://example.org) [gone](../no.py)")
    (docs / "sub" / "b.md").write_text("[code](../../code.py) [a](../a.md)")
    stage(docs, out, tmp_path)
    gone = "[gone](../no.py)"
    assert (out / "a.md").read_text() == (
        f"[code](source/code.py.txt) [page](sub/b.md) [site](https://example.org) {gone}"
    )
    assert (out / "sub" / "b.md").read_text() == "[code](../source/code.py.txt) [a](../a.md)"
    assert (out / "source" / "code.py.txt").read_text() == "x = 1\n"
