"""Errors of a command name switches that the command has."""

from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from exuvia import __main__ as cli
from exuvia.commands.convert import ConvertConfig
from exuvia.commands.import_motion import ImportConfig
from exuvia.commands.prepare import PrepareConfig
from exuvia.commands.switches import in_switches
from exuvia.data.concepts import find_concept
from exuvia.evaluation.metric_table import is_seen
from exuvia.motion.source import Source


def said(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert cli.main([str(word) for word in words]) == 2
    return capsys.readouterr().err


def test_facts_of_a_source_are_switches_of_all_commands_that_read_motion() -> None:
    for name in {field.name for field in fields(Source)} - {"max_frames"}:
        for kind in (ConvertConfig, ImportConfig, PrepareConfig):
            sentence = in_switches(f"say so with Source({name}=...)", kind)
            switch = sentence.rpartition(" ")[2]
            assert switch.startswith("--")
            assert switch[2:].replace("-", "_") in {field.name for field in fields(kind)}
    assert in_switches("pass data=, a store", PrepareConfig) == "pass data=, a store"


def test_a_unit_that_no_body_has_is_given_by_a_switch_of_convert(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joints = np.zeros((4, 22, 3)) + np.linspace(0, 5.31, 22)[:, None]
    np.save(tmp_path / "odd.npy", joints)
    told = said(capsys, "convert", tmp_path / "odd.npy", tmp_path / "new.npy")
    assert "Source(" not in told
    assert "--source-unit-m" in told
    assert cli.main(["convert", str(tmp_path / "odd.npy"), str(tmp_path / "new.npy"), "--source-unit-m", "0.3048"]) == 0
    assert cli.main(["import", "motion", str(tmp_path / "odd.npy"), "--out", str(tmp_path / "clips")]) == 2
    told = capsys.readouterr().err
    assert "Source(" not in told
    assert "--source-unit-m" in told


def test_evaluate_names_its_own_switch_for_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exuvia.pipeline.pipeline.MotionPipeline.from_pretrained", lambda *_, **__: object())
    told = said(capsys, "evaluate", "base", "--benchmark", "throw", "--out", tmp_path / "r")
    assert "give --data, " in told
    assert "data=" not in told


def test_a_concept_that_is_none_is_met_with_those_that_are(capsys: pytest.CaptureFixture[str]) -> None:
    told = said(capsys, "unlearn", "lcr", "--forget", "nope", "--out", "x")
    assert "'none'" not in told
    assert "violence" in told


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("walk.npy", b"0.1 0.2 0.3\n", "which is no .npy; write it with numpy.save"),
        ("walk.GLB", b"glTF", "its JSON part is not a readable JSON text"),
        ("walk.c3d", b"\x02P", "C3D file" if find_spec("c3d") else 'pip install "exuvia[c3d]"'),
        ("walk.pkl", b"\x80\x04", "numpy.savez"),
    ],
)
def test_files_of_other_kinds_are_met_with_what_to_do(
    name: str, content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(content)
    assert message in said(capsys, "convert", tmp_path / name, tmp_path / "out.bvh")


def test_a_joined_concept_is_seen_where_a_part_is() -> None:
    assert is_seen(find_concept("kick+jump"))
    assert not is_seen(find_concept("throw+jump"))
