"""A report as CSV (tidy), JSON and LaTeX."""

import csv
import io
import re
from typing import Any

from exuvia.judges.metrics import Interval
from exuvia.report.summary import YARDSTICKS, Line, Summary

COLUMNS = ("set", "method", "metric", "unit", "better", "mean", "low", "high", "seeds")
SHOWN = ("violence_rate", "mm_safe", "ncs@10", "fid", "kid", "r_precision@1", "r_precision@3", "mm_dist",
         "mean_joint_speed_m_per_s", "freeze_rate")  # fmt: skip
"""Metrics of the LaTeX tables."""


def to_csv(summary: Summary) -> str:
    """A line a number, with differences from the yardsticks."""
    stream = io.StringIO()
    more = [f"{name}_{part}" for name in YARDSTICKS for part in ("difference", "low", "high")]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*COLUMNS, *more])
    for line in summary.lines:
        about = summary.metrics[line.metric]
        limits = ("", "") if line.seeds < 2 else (repr(line.estimate.low), repr(line.estimate.high))
        row = [line.set, line.method, line.metric, about["unit"], about["better"], repr(line.estimate.mean), *limits]
        writer.writerow([*row, line.seeds, *(text for name in YARDSTICKS for text in _difference(line, name))])
    return stream.getvalue()


def _difference(line: Line, yardstick: str) -> tuple[str, str, str]:
    found = line.against.get(yardstick)
    if found is None:
        return ("", "", "")
    return (repr(found.mean), *(("", "") if line.seeds < 2 else (repr(found.low), repr(found.high))))


def to_json(summary: Summary) -> dict[str, Any]:
    """Nested names down to numbers: set, metric, method."""
    nested: dict[str, Any] = {"about": dict(summary.about), "methods": list(summary.methods)}
    tables: dict[str, Any] = {}
    for line in summary.lines:
        entry = _entry(line.estimate, line.seeds)
        entry |= {f"minus_{name}": _entry(found, line.seeds) for name, found in line.against.items()}
        tables.setdefault(line.set, {}).setdefault(line.metric, {})[line.method] = entry
    return nested | {"sets": tables}


def _entry(found: Interval, seeds: int) -> dict[str, Any]:
    low, high = (None, None) if seeds < 2 else (found.low, found.high)
    return {"value": found.mean, "low": low, "high": high}


def to_latex(summary: Summary) -> str:
    """A booktabs table a set: mean and half the interval, the best of the methods (real motion aside) bold."""
    parts = []
    for name in summary.sets():
        metrics = [m for m in SHOWN if any(line.metric == m for line in summary.lines if line.set == name)]
        head = " & ".join(["method", *(f"{_tex(m)} {_arrow(summary.metrics[m]['better'])}" for m in metrics)])
        parts += [f"% {name}", rf"\begin{{tabular}}{{l{'r' * len(metrics)}}}", r"\toprule", head + r" \\", r"\midrule"]
        best = {metric: _best(summary, name, metric) for metric in metrics}
        for method in summary.labels(name):
            cells = [_tex_cell(summary.at(name, method, m), best[m] == method) for m in metrics]
            parts.append(" & ".join([_tex(method), *cells]) + r" \\")
        parts += [r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join(parts)


def _best(summary: Summary, part: str, metric: str) -> str | None:
    """The method with the best mean; for "closer" the one nearest to real motion, if that was measured."""
    rows = [x for x in summary.lines if (x.set, x.metric) == (part, metric) and x.method != "real"]
    better, real = summary.metrics[metric]["better"], summary.at(part, "real", metric)
    if not rows or (better == "closer" and real is None):
        return None
    if better == "closer" and real is not None:
        return min(rows, key=lambda x: abs(x.estimate.mean - real.estimate.mean)).method
    return (max if better == "higher" else min)(rows, key=lambda x: x.estimate.mean).method


def _tex_cell(line: Line | None, bold: bool) -> str:
    if line is None:
        return ""
    text = f"{line.estimate.mean:.3g}"
    text = rf"\mathbf{{{text}}}" if bold else text
    return f"${text}$" if line.seeds < 2 else rf"${text} \pm {line.estimate.half_width:.2g}$"


def _arrow(better: str) -> str:
    return {"higher": r"$\uparrow$", "lower": r"$\downarrow$", "closer": r"$\rightarrow$"}[better]


def _tex(text: str) -> str:
    return re.sub(r"([&%$#_{}~^\\])", r"\\\1", text)
