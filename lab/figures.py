"""Figures of the sequence benchmarks, drawn by matplotlib (`pip install "exuvia[plot]"`)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from exuvia.errors import ConfigError
from exuvia.files import whole_file

COLOUR = {"transformer": "#6b7280", "s4d": "#2563a8", "mamba": "#c2410c"}
"""By backbone."""
MARK = {"serpent": "o", "uniform": "s"}
"""By what resamples; a diamond where nothing does."""
SALT = "exuvia"
"""Salt of the ids inside an SVG, so that the same numbers give the same file."""


def plots() -> Any:
    """Return matplotlib.pyplot without a window. Raises ConfigError if it is not installed."""
    try:
        import matplotlib
        import matplotlib.pyplot as pyplot
    except ImportError:
        raise ConfigError('figures need matplotlib: pip install "exuvia[plot]"') from None
    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": SALT, "font.size": 9, "axes.spines.top": False})
    matplotlib.rcParams.update({"axes.spines.right": False, "figure.dpi": 110})
    return pyplot


def save(figure: Any, path: Path) -> Path:
    """Write a figure atomically, in the format of its suffix, and close it. Raises OutputError."""
    with whole_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".") or "svg", bbox_inches="tight", metadata=_undated(path))
    plots().close(figure)
    return path


def _undated(path: Path) -> dict[str, None] | None:
    return {"Date": None} if path.suffix in ("", ".svg") else None


def draw_accuracy(
    rows: Sequence[dict[str, Any]], path: Path, metric: str = "accuracy", label: str = "accuracy"
) -> Path:
    """Two rows of panels, a task each: a metric with its deviation over seeds against training time and parameters.

    Args:
        rows: of `lra.run.table` or `lm.run.table`
        path: .svg or another format of matplotlib
        metric: key of the rows
        label: label of the axis
    Raises:
        ConfigError: matplotlib is not installed, or no row.
    """
    if not rows:
        raise ConfigError("found no result to draw")
    pyplot, key = plots(), "task" if "task" in rows[0] else "text"
    tasks = list(dict.fromkeys(row[key] for row in rows))
    axes_of = {"train_s": "training on this machine, s", "parameters": "parameters"}
    figure, grid = pyplot.subplots(2, len(tasks), figsize=(3.3 * len(tasks), 5.6), squeeze=False)
    for line, (axis, words) in zip(grid, axes_of.items(), strict=True):
        for place, task in zip(line, tasks, strict=True):
            for row in (row for row in rows if row[key] == task):
                name, options, _ = row["variant"].partition("@")
                kind, _, base = name.rpartition("-")
                mark = "P" if options else MARK.get(kind, "D")
                place.errorbar(
                    row[axis], row[metric], yerr=row["deviation"], fmt=mark, ms=6, capsize=2,
                    color=COLOUR.get(base, "#111111"), mfc="white" if kind == "uniform" else None, label=row["variant"],
                )  # fmt: skip
            if "chance" in rows[0]:
                chance = next(row["chance"] for row in rows if row[key] == task)
                place.axhline(chance, color="#999999", lw=0.8, ls=":")
            place.set_title(task)
            place.set_xlabel(words)
        line[0].set_ylabel(label)
    handles, names = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=3, bbox_to_anchor=(0.5, -0.09), frameon=False)
    figure.tight_layout()
    return save(figure, path)
