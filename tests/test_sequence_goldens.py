"""Equality with the official masked and residual transformers, their decoding, tools and length estimator."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exuvia.goldens.case import Case
from exuvia.registry import GOLDEN, resolve

CASES = {
    "03_mask_transformer_forward": "03_mask_transformer_forward",
    "03_mask_generate": "03_mask_generate",
    "03_mask_train_forward": "03_mask_train_forward",
    "03_tools": "03_tools",
    "03_length_estimator": "03_length_estimator",
    "04_res_transformer_shared": "04_res_transformer",
    "04_res_transformer_unshared": "04_res_transformer",
}


def compare(case: Case, name: str, ours: Any) -> None:
    """Our value within the case's rule; padded positions of logits hold no meaning and are left out."""
    ours, stored = np.asarray(ours), case.tensors[name]
    assert ours.shape == stored.shape, name
    rule = case.tolerance(name)
    if stored.dtype.kind in "iu":
        rule = "exact"
    if isinstance(rule, dict) and "in.padding_mask" in case.tensors and stored.ndim == 3:
        valid = case.tensors["in.padding_mask"] == 0
        ours, stored = ours.transpose(0, 2, 1)[valid], stored.transpose(0, 2, 1)[valid]
    elif isinstance(rule, dict) and "in.m_lens" in case.tensors and stored.ndim == 3:
        lengths = case.tensors["in.m_lens"]
        valid = np.arange(stored.shape[2])[None] < lengths[:, None]
        ours, stored = ours.transpose(0, 2, 1)[valid], stored.transpose(0, 2, 1)[valid]
    elif name == "out.pred_id":
        valid = np.arange(stored.shape[1])[None] < case.tensors["in.m_lens"][:, None]
        ours, stored = ours[valid], stored[valid]
    if rule == "exact":
        assert np.array_equal(ours, stored), name
    else:
        np.testing.assert_allclose(ours, stored, atol=rule["atol"], rtol=rule["rtol"], err_msg=name)


@pytest.mark.parametrize(("name", "entry"), CASES.items())
def test_equals_the_official_implementation(goldens: Path, name: str, entry: str) -> None:
    case = Case.load(goldens / f"{name}.json")
    ours = resolve(GOLDEN, entry, "golden")(case)
    wanted = {t for t in case.tensors if t.split(".", 1)[0] == "out" or ".out." in t}
    assert wanted <= set(ours), f"no value for {sorted(wanted - set(ours))}"
    for tensor, value in ours.items():
        compare(case, tensor, value)
