"""Equality with the official masked and residual transformers, their decoding, tools and length estimator."""

from pathlib import Path

import pytest

from exuvia.registry import resolve
from lab.parity.case import Case
from lab.parity.cases import GOLDEN
from lab.parity.run import check_case, function_name

CASES = [
    "03_length_estimator",
    "03_mask_generate",
    "03_mask_train_forward",
    "03_mask_transformer_forward",
    "03_tools",
    "04_res_transformer_shared",
    "04_res_transformer_unshared",
]


@pytest.mark.parametrize("name", CASES)
def test_equals_the_official_implementation(goldens: Path, name: str) -> None:
    case = Case.load(goldens / f"{name}.json")
    result = check_case(case, resolve(GOLDEN, function_name(name) or "", "golden case"))
    assert not result.failure
    assert not result.missing
    assert not result.excused
    assert [c for c in result.comparisons if not c.passed] == []
