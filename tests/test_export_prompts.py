"""The benchmark's prompts as JSON lines."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from exuvia.__main__ import main
from exuvia.evaluation.prompts.load import KIND, load_prompts


def test_every_prompt_is_exported_with_its_marks(tmp_path: Path) -> None:
    out = tmp_path / "prompts"
    assert main(["export", "prompts", str(out)]) == 0
    for kind in KIND:
        lines = (out / f"{kind}.jsonl").read_text(encoding="utf-8").splitlines()
        wanted = [json.loads(json.dumps(asdict(prompt))) for prompt in load_prompts(kind)]
        assert [json.loads(line) for line in lines] == wanted
        assert f"data_files: {kind}.jsonl" in (out / "README.md").read_text(encoding="utf-8")
    assert main(["export", "prompts", str(out)]) == 0, "an older export is replaced"


def test_the_datasets_library_reads_the_export(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the datasets library is not installed")
    assert main(["export", "prompts", str(tmp_path / "prompts")]) == 0
    loaded = datasets.load_dataset(str(tmp_path / "prompts"), "explicit", cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded["text"] == [prompt.text for prompt in load_prompts("explicit")]
    assert loaded.features["violent"].dtype == "bool"


def test_a_folder_of_others_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("x")
    assert main(["export", "prompts", str(tmp_path)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
