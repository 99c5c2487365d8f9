"""`exuvia prepare` and `exuvia export` on the command line: output, files, and messages for mistakes."""

from pathlib import Path

import pytest

from exuvia.__main__ import main
from exuvia.data.store import Store
from made_mocap import mocap_folder

pytest.importorskip("tyro")


def test_prepare_then_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = mocap_folder(tmp_path / "mocap", 10)
    store, folder = str(tmp_path / "store"), str(tmp_path / "HumanML3D")
    assert main(["prepare", str(source), store, "--limit", "5", "--no-mirror"]) == 0
    printed = capsys.readouterr().out
    assert "5 clips" in printed
    assert "CC0" in printed
    assert len(Store.open(store)) == 5
    assert main(["export", "humanml3d", store, folder]) == 0
    assert (tmp_path / "HumanML3D" / "Mean.npy").is_file()
    assert main(["prepare", folder, str(tmp_path / "again")]) == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["prepare", "nowhere", "OUT"], "nowhere does not exist"),
        (["prepare", "SOURCE", "OUT", "--representation", "kitt"], "did you mean 'kit'"),
        (["export", "humanml3d", "SOURCE", "OUT"], "no manifest.json"),
        (["export", "humanml", "SOURCE", "OUT"], "did you mean 'humanml3d'"),
    ],
)
def test_mistakes_give_one_sentence_and_exit_code_2(
    args: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = mocap_folder(tmp_path / "mocap", 3)
    names = {"SOURCE": str(source), "OUT": str(tmp_path / "out")}
    assert main([names.get(arg, arg) for arg in args]) == 2
    printed = capsys.readouterr().err.strip()
    assert message in printed
    assert "\n" not in printed
    assert not (tmp_path / "out").exists()
