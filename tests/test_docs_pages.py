"""Pictures and notebooks of the documentation: small, described, and reproduced by the commands next to them."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stage_docs import LINK

from pages import DOCS, blocks, command_lines, read_page, run_page

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
GALLERY = DOCS / "pictures" / "gallery"


def test_pictures_are_small_described_and_have_their_command() -> None:
    page = read_page(DOCS / "gallery.md")
    files = {path.name for path in GALLERY.iterdir()}
    shown = re.findall(r"!\[([^\]]*)\]\(pictures/gallery/([\w-]+\.png)\)", page)
    shown += [
        (alt, name) for name, alt in re.findall(r'<img src="pictures/gallery/([\w-]+\.png)" alt="([^"]*)">', page)
    ]
    assert {name for _, name in shown} == files
    assert all(len(alt) > 40 for alt, _ in shown), "a picture without a description"
    made = {words[words.index("--out") + 1] for b in blocks(page) for words in command_lines(b.text)}
    assert files <= made, "a picture without its command"
    assert sum(path.stat().st_size for path in GALLERY.iterdir()) <= 600_000


def test_violent_pictures_are_closed_until_asked_for() -> None:
    page = read_page(DOCS / "gallery.md")
    closed = re.findall(r"(?s)<details>\s*<summary>(.+?)</summary>(.*?)</details>", page)
    assert len(closed) == 1
    assert "punch" in closed[0][0]
    assert page.count("punch-before.png") == closed[0][1].count("punch-before.png") + 1, "outside only in its command"


@pytest.mark.slow
def test_the_commands_of_the_gallery_make_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pictures = tmp_path / "docs" / "pictures"
    pictures.mkdir(parents=True)
    shutil.copy(DOCS / "pictures" / "before-after.txt", pictures)
    run_page(read_page(DOCS / "gallery.md"), {})
    with Image.open(DOCS / "pictures" / "before-after.gif") as ours, Image.open(pictures / "before-after.gif") as again:
        assert ours.n_frames == again.n_frames
        middle = [np.asarray(picture.convert("L"), float) for picture in (ours, again)]
    assert np.abs(middle[0] - middle[1]).mean() < 4
    for path in GALLERY.iterdir():
        ours, again = (np.asarray(Image.open(p).convert("L"), float) for p in (path, tmp_path / path.name))
        assert ours.shape == again.shape
        assert np.abs(ours - again).mean() < 4, f"{path.name} shows something else"  # fonts and rounding may differ


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_small_and_have_outputs(path: Path) -> None:
    text = read_page(path)
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    assert len(text) <= 150_000
    assert sum(bool(cell["outputs"]) for cell in cells) >= 5
    assert "/tmp" not in text
    assert "Traceback" not in text


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path: Path, tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    before = nbformat.read(path, as_version=4)
    after = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(after, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for old, new in zip(before.cells, after.cells, strict=True):
        if old.cell_type == "code":
            assert _kinds(old.outputs) == _kinds(new.outputs), old.source


def _kinds(outputs: list[dict]) -> set[str]:
    """What a cell gives, without what it says on the error stream."""
    return {one["output_type"] for one in outputs if one.get("name") != "stderr"}


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_links_lead_somewhere(page: Path) -> None:
    for _, link, anchor in LINK.findall(read_page(page)):
        if "://" in link or link == "players.html":  # this page is made with the site
            continue
        target = (page.parent / link).resolve()
        assert target.exists(), link
        name = anchor.strip("#)")
        if name and target.suffix == ".md":
            heads = re.findall(r"(?m)^#+ (.+)$", read_page(target))
            slugs = {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}
            assert name in slugs, f"{link}#{name}"
