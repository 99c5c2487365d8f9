"""Parity checking: tolerances, column notes, padding, omissions, and the command's exit codes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from exuvia.errors import DataError
from lab.__main__ import main as lab_main
from lab.experiments.goldens import GoldensConfig, check_goldens
from lab.parity.case import Case
from lab.parity.compare import compare, describe, valid_positions
from lab.parity.run import check_case, check_folder, function_name

TIGHT = {"atol": 1e-5, "rtol": 0.0}
FEATURE_NOTE = "mm columns; column 0 atol 2e-4, 6D columns [2:4] atol 1e-3; contacts exact"


def make_case(tensors: dict[str, Any], **meta: Any) -> Case:
    return Case("00_made", {name: np.asarray(value) for name, value in tensors.items()}, meta)


def write_case(folder: Path, name: str, tensors: dict[str, Any], **meta: Any) -> None:
    save_file({key: np.asarray(value) for key, value in tensors.items()}, folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps(meta))


@given(
    value=st.floats(-100, 100),
    atol=st.floats(0.001, 1),
    rtol=st.floats(0, 0.5),
    step=st.floats(-3, 3),
)
def test_elementwise_rule_is_numpys_allclose(value: float, atol: float, rtol: float, step: float) -> None:
    ours, theirs = np.asarray([value + step]), np.asarray([value])
    result = compare("out.x", ours, theirs, {"atol": atol, "rtol": rtol})
    assert result.share == pytest.approx(np.abs(ours - theirs)[0] / (atol + rtol * abs(value)))
    if abs(result.share - 1) > 1e-9:
        assert result.passed == bool(np.allclose(ours, theirs, atol=atol, rtol=rtol))


def test_exact_means_equal_and_infinities_and_nan_equal_themselves() -> None:
    y = np.asarray([1.0, -np.inf, np.nan], np.float32)
    assert compare("out.x", y.copy(), y, "exact").passed
    assert not compare("out.x", y + np.float32(1e-6), y, "exact").passed


def test_integers_must_be_equal_whatever_the_tolerance() -> None:
    assert not compare("out.ids", [1, 3], np.asarray([1, 2]), {"atol": 10.0}).passed


def test_nan_of_ours_fails_and_is_named() -> None:
    result = compare("out.x", [1.0, np.nan], np.asarray([1.0, 2.0]), TIGHT)
    assert not result.passed
    assert "not finite" in result.remark


def test_relative_norm_rule() -> None:
    y = np.asarray([3.0, 4.0])
    assert compare("out.g", y + np.asarray([0.0, 0.004]), y, {"rel_l2": 0.001}).passed
    assert not compare("out.g", y + np.asarray([0.0, 0.006]), y, {"rel_l2": 0.001}).passed


def test_another_shape_fails_with_both_shapes() -> None:
    result = compare("out.x", np.zeros((2, 3)), np.zeros((3, 2)), TIGHT)
    assert (result.passed, result.remark) == (False, "shape (2, 3), expected (3, 2)")


def test_a_number_stands_for_an_array_of_one_element_and_tensors_are_arrays() -> None:
    assert compare("out.loss", 0.5, np.asarray([0.5]), TIGHT).passed
    assert compare("out.loss", torch.tensor(0.5, requires_grad=True), np.asarray([0.5]), TIGHT).passed


@pytest.mark.parametrize(
    ("column", "step", "passes"),
    [(0, 1e-4, True), (0, 3e-4, False), (1, 0.05, True), (2, 5e-4, True), (3, 2e-3, False), (7, 1e-6, False)],
)
def test_notes_tighten_their_columns(column: int, step: float, passes: bool) -> None:
    y = np.zeros((3, 8))
    x = y.copy()
    x[1, column] = step
    assert compare("out.features", x, y, {"atol": 0.1, "rtol": 0, "note": FEATURE_NOTE}).passed == passes


def test_note_on_quaternions_applies_to_quaternions_only() -> None:
    rule = {"atol": 0.1, "note": "millimetres; quaternions 1e-3"}
    assert not compare("mid.ik_quat_smooth", [0.01], np.asarray([0.0]), rule).passed
    assert compare("mid.uniform_joints", [0.01], np.asarray([0.0]), rule).passed


def test_contact_columns_of_the_published_note_are_exact() -> None:
    rule = {"atol": 2e-4, "note": "contact columns exact (margin recorded in scalars)"}
    y = np.zeros((2, 263))
    x = y.copy()
    x[0, -1] = 1e-5
    assert not compare("out.features", x, y, rule).passed
    assert describe(rule).endswith("*")


def test_padding_is_left_out_where_the_rule_says_so() -> None:
    case = make_case({"in.m_lens": [2, 3]})
    valid = valid_positions(case.tensors)
    y = np.zeros((2, 5, 3))
    x = y.copy()
    x[0, :, 2] = np.nan
    assert compare("out.logits", x, y, {"atol": 1e-4, "where": "valid positions"}, valid).passed
    assert not compare("out.logits", x, y, {"atol": 1e-4}, valid).passed
    x[1, 0, 2] = 1.0
    assert not compare("out.logits", x, y, {"atol": 1e-4, "where": "valid positions"}, valid).passed


def test_padding_mask_wins_over_lengths() -> None:
    valid = valid_positions({"in.padding_mask": np.asarray([[0, 1]]), "in.m_lens": np.asarray([2])})
    assert valid is not None
    assert valid.tolist() == [[True, False]]


def test_an_output_that_is_not_returned_fails_the_case() -> None:
    case = make_case({"out.a": [1.0], "step0.out.b": [2.0], "mid.c": [3.0]}, tolerance={"*": TIGHT})
    result = check_case(case, lambda case: {"out.a": [1.0]})
    assert not result.passed
    assert result.missing == ("step0.out.b",)


def test_an_omission_with_a_reason_passes_and_is_reported() -> None:
    case = make_case({"out.a": [1.0], "out.b": [2.0]}, tolerance={"*": TIGHT})
    result = check_case(case, lambda case: {"out.a": [1.0], "not_compared": {"out.b": "depends on the sort"}})
    assert result.passed
    assert result.excused == (("out.b", "depends on the sort"),)


def test_a_function_that_returns_nothing_known_fails() -> None:
    case = make_case({"mid.a": [1.0]}, tolerance={"*": TIGHT})
    assert not check_case(case, lambda case: {"mid.other": [1.0]}).passed


def test_an_error_inside_a_function_is_a_failed_case() -> None:
    def broken(case: Case) -> dict[str, Any]:
        raise RuntimeError("no such layer")

    result = check_case(make_case({"out.a": [1.0]}), broken)
    assert not result.passed
    assert "no such layer" in result.failure


def test_scalars_compare_with_the_numbers_of_the_json() -> None:
    case = make_case({}, scalars={"fid": 49.0, "r_precision": [1, 2]}, tolerance={"scalars": {"rtol": 1e-4}},
                     exact=["scalars.r_precision*"])  # fmt: skip
    assert check_case(case, lambda case: {"scalars.fid": 49.004, "scalars.r_precision": [1, 2]}).passed
    assert not check_case(case, lambda case: {"scalars.fid": 49.01}).passed
    assert check_case(case, lambda case: {"scalars.fid": 49.0}).scalars_left == ("r_precision",)
    assert not check_case(case, lambda case: {"scalars.r_precision": [1, 2.0001]}).passed


def test_worst_is_the_failing_comparison() -> None:
    case = make_case({"out.a": [1.0], "out.b": [2.0]}, tolerance={"*": TIGHT})
    result = check_case(case, lambda case: {"out.a": [1.0], "out.b": [2.5]})
    assert result.worst is not None
    assert result.worst.name == "out.b"


def test_the_longest_beginning_decides() -> None:
    table = {"01_hml": "a:b", "01_hml_recover": "c:d"}
    assert function_name("01_hml_recover", table) == "01_hml_recover"
    assert function_name("01_hml_synth1", table) == "01_hml"
    assert function_name("99_new", table) is None


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no golden case"):
        check_folder(tmp_path)
    assert lab_main(["goldens", str(tmp_path)]) == 2


def test_command_prints_a_line_a_case_and_exits_with_one_on_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    q = {"in.q": np.eye(4, dtype=np.float32), "out.mean": np.zeros(4, np.float32)}
    write_case(tmp_path, "01_quat_ops_extra", q, tolerance={"*": TIGHT})
    write_case(tmp_path, "99_new", q, tolerance={})
    assert lab_main(["goldens", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "01_quat_ops_extra                  FAIL" in printed
    assert "99_new                             unknown" in printed
    assert "0 passed, 1 failed, 1 without a function" in printed


def test_a_broken_case_file_is_a_failed_case(tmp_path: Path) -> None:
    write_case(tmp_path, "01_quat_ops", {"out.a": [1.0]})
    (tmp_path / "01_quat_ops.safetensors").write_bytes(b"no tensors")
    (result,) = check_folder(tmp_path)
    assert not result.passed
    assert "not a golden case" in result.failure


def test_rotations_equal_the_official_ones(goldens: Path) -> None:
    (result,) = check_folder(goldens, only=("01_quat_ops",))
    assert result.passed, result
    assert check_goldens(GoldensConfig(goldens, only=("01_quat_ops",), verbose=True)) == 0
