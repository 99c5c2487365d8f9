"""`python -m lab goldens`: parity with official implementations, case by case."""

from pathlib import Path
from typing import Any

import tyro

from exuvia.config import settings
from lab.parity.run import check_folder


@settings
class GoldensConfig:
    """Which golden vectors to check."""

    folder: tyro.conf.Positional[Path]
    """Folder of case pairs `<case>.json` + `<case>.safetensors`."""
    only: tuple[str, ...] = ()
    """Beginnings of case names, e.g. 01_ 08_lcr; default: all."""
    verbose: bool = False
    """Print a line for every tensor."""


def check_goldens(config: GoldensConfig) -> int:
    """Run every parity case of a folder and print a line for each: worst error, its tolerance, pass or fail.

    "of limit" is the worst error divided by its tolerance; a star means that the case's note tightens some columns.
    Cases without a function are listed and do not count. Exit code 1 if a case fails, 2 if there is no case.

    Raises:
        DataError: the folder has no case.
    """
    results = []
    print(f"{'case':<34} {'result':<7} {'of limit':>9} {'worst':>9}  tolerance                tensor", flush=True)
    for result in check_folder(config.folder, config.only):
        print("\n".join(_lines(result, config.verbose)), flush=True)
        results.append(result)
    known = [result for result in results if result.known]
    failed = [result for result in known if not result.passed]
    unknown = len(results) - len(known)
    print(f"\n{len(known) - len(failed)} passed, {len(failed)} failed, {unknown} without a function")
    return 1 if failed else 0


def _lines(result: Any, verbose: bool) -> list[str]:
    if not result.known:
        return [f"{result.name:<34} unknown"]
    verdict = "pass" if result.passed else "FAIL"
    shown = sorted(result.comparisons, key=lambda c: c.name) if verbose else [result.worst] if result.worst else []
    lines = [_row(result.name, verdict if not verbose else "pass" if c.passed else "FAIL", c) for c in shown]
    lines = lines or [f"{result.name:<34} {verdict:<7}"]
    others = [c.name for c in result.comparisons if not c.passed and c is not result.worst]
    lines += [f"    also beyond: {', '.join(others)}"] if others and not verbose else []
    lines += [f"    not returned: {', '.join(result.missing)}"] if result.missing else []
    lines += [f"    not compared: {name}: {reason}" for name, reason in result.excused]
    lines += [f"    scalars left out: {', '.join(result.scalars_left)}"] if result.scalars_left else []
    lines += [f"    {result.failure}"] if result.failure else []
    return lines


def _row(case: str, verdict: str, c: Any) -> str:
    remark = f" ({c.remark})" if c.remark else ""
    return f"{case:<34} {verdict:<7} {c.share:>9.2g} {c.error:>9.2g}  {c.rule:<24} {c.name}{remark}"
