"""Compares one of our values with a stored one: tolerances, per-column notes and padding masks of golden cases.

A rule is "exact", or a dictionary of `atol`/`rtol` (element-wise |x - y| <= atol + rtol |y|), of `rel_l2`
(|x - y| / |y| over the tensor), or both; its `note` may tighten single columns and its `where` may leave padding out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]

_COLUMN = re.compile(r"columns? (?:(\d+)|\[(\d+):(\d+)\]) atol ([0-9.eE+-]+)")
_CONTACTS = re.compile(r"contact(?:s| columns) exact")
_QUATERNIONS = re.compile(r"quaternions ([0-9.eE+-]+)")
_CONTACT_COLUMNS = 4


@dataclass(frozen=True)
class Comparison:
    """The comparison of one tensor."""

    name: str
    passed: bool
    share: float
    """Worst error divided by its tolerance: 1 is the limit, 0 is equality; infinite for other mismatches."""
    error: float
    """Worst absolute difference."""
    rule: str
    """The tolerance in words."""
    remark: str = ""
    """Problems other than the size of the error: another shape, values that are not finite."""


def as_array(value: Any) -> Array:
    """Tensor, array, list or number as a numpy array."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    return np.asarray(value)


def compare(name: str, ours: Any, theirs: Any, rule: Any, valid: Array | None = None) -> Comparison:
    """Compare one tensor under its rule.

    Args:
        name: the tensor's name in the case
        ours: our value, any array-like; a number stands for an array of one element
        theirs: the stored value
        rule: "exact" or a dictionary as above
        valid: True where a position is real   [B, N]; used on tensors [B, ..., N] when the rule has a `where`
    """
    x, y = as_array(ours), as_array(theirs)
    text = describe(rule)
    if x.size == y.size == 1:
        x = x.reshape(y.shape)
    if x.shape != y.shape:
        return Comparison(name, False, np.inf, np.inf, text, f"shape {x.shape}, expected {y.shape}")
    if isinstance(rule, Mapping) and "where" in rule and valid is not None and _is_masked(y, valid):
        keep = np.broadcast_to(np.expand_dims(valid, tuple(range(1, y.ndim - 1))), y.shape)
        x, y = np.where(keep, x, 0), np.where(keep, y, 0)
    error, share = _difference(x, y, _allowed(name, y, rule), rule)
    remark = "values that are not finite" if np.isnan(share) else ""
    return Comparison(name, bool(share <= 1.0), share, error, text, remark)


def describe(rule: Any) -> str:
    """Return a short description of a rule."""
    if rule == "exact":
        return "exact"
    words = [f"{key} {rule[key]:g}" for key in ("atol", "rtol", "rel_l2") if rule.get(key)]
    return " ".join(words) + (" *" if "note" in rule and _refines(rule["note"]) else "")


def valid_positions(tensors: Mapping[str, Array]) -> Array | None:
    """The mask of real positions [B, N] of a case with padding, or None."""
    if "in.padding_mask" in tensors:
        return tensors["in.padding_mask"] == 0
    if "in.m_lens" in tensors:
        lengths = tensors["in.m_lens"]
        return np.arange(int(lengths.max())) < lengths[:, None]
    return None


def _is_masked(y: Array, valid: Array) -> bool:
    return y.ndim >= 2 and y.shape[0] == valid.shape[0] and y.shape[-1] == valid.shape[1]


def _refines(note: str) -> bool:
    return any(pattern.search(note) for pattern in (_COLUMN, _CONTACTS, _QUATERNIONS))


def _allowed(name: str, y: Array, rule: Any) -> Array:
    """The largest allowed difference of every element; 0 where it must be equal."""
    if rule == "exact" or y.dtype.kind in "iub":
        return np.zeros(y.shape)
    if "atol" not in rule and "rtol" not in rule:
        return np.full(y.shape, np.inf)
    size = np.where(np.isfinite(y), np.abs(y.astype(np.float64)), 0.0)
    allowed = rule.get("atol", 0.0) + rule.get("rtol", 0.0) * size
    note = rule.get("note", "")
    for column, start, stop, atol in _COLUMN.findall(note):
        columns = slice(int(column), int(column) + 1) if column else slice(int(start), int(stop))
        allowed[..., columns] = float(atol)
    if _CONTACTS.search(note):
        allowed[..., -_CONTACT_COLUMNS:] = 0.0
    if (quaternions := _QUATERNIONS.search(note)) and "quat" in name:
        allowed[...] = float(quaternions.group(1))
    return allowed


def _difference(x: Array, y: Array, allowed: Array, rule: Any) -> tuple[float, float]:
    """Worst absolute error, and the worst error as a share of what is allowed (NaN if ours is not finite)."""
    if not y.size:
        return 0.0, 0.0
    a, b = x.astype(np.float64), y.astype(np.float64)
    equal = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.where(equal, 0.0, np.abs(a - b))
        shares = np.where(equal, 0.0, gap / allowed)
    share = float(np.max(shares)) if not np.isnan(shares).any() else np.nan
    if isinstance(rule, Mapping) and "rel_l2" in rule:
        relative = float(np.linalg.norm(gap) / max(float(np.linalg.norm(b)), np.finfo(np.float64).tiny))
        share = max(share, relative / rule["rel_l2"])
    return float(np.max(gap)), share
