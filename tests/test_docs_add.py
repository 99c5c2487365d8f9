"""The pages `docs/add-a-*.md` tell the truth: what they say is done, and the thing works."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from exuvia import registry
from exuvia.data.prepare import prepare

DOCS = Path(__file__).resolve().parents[1] / "docs"


def code(page: str) -> str:
    """The first Python block of a page."""
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)[0]


def line(page: str) -> tuple[str, str]:
    """The registry line of a page: a name and what it stands for."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r'(?m)^    "([\w-]+)": "([\w.]+:\w+)",$', text)[0]


@pytest.fixture
def module(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The file of a page, importable under the name of its registry line."""
    made = ModuleType(line(request.param)[1].partition(":")[0])
    monkeypatch.setitem(sys.modules, made.__name__, made)
    exec(compile(code(request.param), request.param, "exec"), made.__dict__)
    return made


@pytest.mark.parametrize("module", ["add-a-data-set.md"], indirect=True)
def test_a_data_set_is_a_file_and_a_line(module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, target = line("add-a-data-set.md")
    monkeypatch.setitem(registry.DATA_SET, name, target)
    source = module.folder
    (source / "b.caption").write_text("a person kicks")
    (source / "b.npy").write_bytes(b"no array")
    store = prepare(source, tmp_path / "store")
    assert [clip.captions[0].text for clip in store.clips if clip.id == "a"] == ["a person stands"]
    assert store.manifest["skipped"][0]["id"] == "b"
