"""Runs parity cases: finds each case's function, compares every output, and reports the errors.

A case function returns our value of every tensor of the case whose name has the component `out`. What it cannot
compare it lists with a reason under the key `not_compared`; a silent omission fails the case. A value named
`scalars.<name>` is compared with the number of that name in the case's JSON file.
"""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from exuvia.errors import DataError
from exuvia.registry import resolve
from lab.parity.case import Case
from lab.parity.cases import GOLDEN
from lab.parity.compare import Comparison, compare, valid_positions

NOT_COMPARED = "not_compared"


@dataclass(frozen=True)
class CaseResult:
    """The result of one case."""

    name: str
    comparisons: tuple[Comparison, ...] = ()
    missing: tuple[str, ...] = ()
    """Outputs of the case that the function did not return."""
    excused: tuple[tuple[str, str], ...] = ()
    """Outputs that the function declines to compare, with its reasons."""
    scalars_left: tuple[str, ...] = ()
    """Numbers of the case's JSON with a tolerance that the function did not return; they do not fail the case."""
    failure: str = ""
    """Why the case could not run."""
    known: bool = True
    """Whether the registry has a function for it."""

    @property
    def passed(self) -> bool:
        """Everything within tolerance and nothing left out; a case without a function neither passes nor fails."""
        return self.known and not self.failure and not self.missing and all(c.passed for c in self.comparisons)

    @property
    def worst(self) -> Comparison | None:
        """The comparison nearest to its limit, or farthest beyond it."""
        failed = [c for c in self.comparisons if not c.passed]
        return max(failed or self.comparisons, key=lambda c: (c.share, c.error), default=None)


def function_name(case_name: str, table: Mapping[str, str] = GOLDEN) -> str | None:
    """The registry's key for a case: the longest one that the case's name starts with, or None."""
    return max((key for key in table if case_name.startswith(key)), key=len, default=None)


def check_case(case: Case, function: Callable[[Case], Mapping[str, Any]]) -> CaseResult:
    """Run one case function and compare what it returns.

    An exception in the function is a failed case, reported with its last line; the other cases still run.
    """
    try:
        ours = dict(function(case))
    except Exception as error:
        return CaseResult(case.name, failure="".join(traceback.format_exception_only(error)).strip())
    excused = dict(ours.pop(NOT_COMPARED, {}))
    valid = valid_positions(case.tensors)
    stored = {name: value for name, value in _stored(case).items() if name in ours and name not in excused}
    done = tuple(compare(name, ours[name], value, _rule(case, name), valid) for name, value in stored.items())
    missing = tuple(name for name in outputs(case) if name not in ours and name not in excused)
    scalars = case.meta.get("scalars", {}) if "scalars" in case.meta.get("tolerance", {}) else {}
    left = tuple(name for name in scalars if f"scalars.{name}" not in ours | excused)
    failure = "" if done else "its function returned nothing that the case has"
    return CaseResult(case.name, done, missing, tuple(sorted(excused.items())), left, failure)


def outputs(case: Case) -> list[str]:
    """Names of the tensors that a case function must account for: those with a component `out`."""
    return sorted(name for name in case.tensors if "out" in name.split("."))


def check_folder(
    folder: str | Path, only: Sequence[str] = (), table: Mapping[str, str] = GOLDEN
) -> Iterator[CaseResult]:
    """Run every case of a folder in the order of names, one result at a time.

    Args:
        folder: holds pairs `<case>.json` + `<case>.safetensors`
        only: beginnings of case names; empty means all
        table: beginning of a case's name -> its function
    Raises:
        DataError: the folder does not exist or has no such case. A broken file is a failed case.
    """
    folder = Path(folder)
    paths = sorted(path for path in folder.glob("*.json") if path.with_suffix(".safetensors").exists())
    if not paths:
        raise DataError(f"{folder} has no golden case, expected pairs <case>.json and <case>.safetensors")
    paths = [path for path in paths if not only or path.stem.startswith(tuple(only))]
    if not paths:
        raise DataError(f"{folder} has no case that starts with {' or '.join(only)}")
    return (_check_path(path, table) for path in paths)


def _check_path(path: Path, table: Mapping[str, str]) -> CaseResult:
    key = function_name(path.stem, table)
    if key is None:
        return CaseResult(path.stem, known=False)
    try:
        function = resolve(table, key, "golden case")
        case = Case.load(path)
    except (ImportError, AttributeError) as error:
        return CaseResult(path.stem, failure=f"{table[key]} cannot be imported: {error}")
    except DataError as error:
        return CaseResult(path.stem, failure=str(error))
    return check_case(case, function)


def _stored(case: Case) -> dict[str, Any]:
    scalars = {f"scalars.{name}": value for name, value in case.meta.get("scalars", {}).items()}
    return {**case.tensors, **scalars}


def _rule(case: Case, name: str) -> Any:
    """The case's rule for a name; `scalars` in a tolerance table stands for all scalars."""
    rules = case.meta.get("tolerance", {})
    exact = any(fnmatchcase(name, pattern) for pattern in case.meta.get("exact", []))
    if name.startswith("scalars.") and not exact and "scalars" in rules:
        return rules["scalars"]
    return case.tolerance(name)
