"""A report as an offline page: sortable tables by prompt set, Pareto plots, costs, and players."""

from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from exuvia.errors import ConfigError, DataError
from exuvia.evaluation.report import YARDSTICKS, Report
from exuvia.files import whole_folder, write_text
from exuvia.motion.clip import Clip
from exuvia.readers import read_safetensors, read_toml
from exuvia.report.pareto import axis_name, draw, points_of
from exuvia.tables import cell_text
from exuvia.view.page import ComparisonRow, Panel, render

HERE = Path(__file__).parent
TEXTS = read_toml(Path(__file__).with_suffix(".toml"))
Clips = dict[str, NDArray[np.float16]]
FOLDER = "report page"
"""Kind of the folder that `write_report` makes, for `files.check_folder`."""


def write_report(report: Report, folder: str | Path, clips: Clips | None = None, *, overwrite: bool = False) -> Path:
    """Write index.html, report.json, report.csv, report.md and report.tex; nothing is measured again. Returns the page.

    `clips` are joints [F, 22, 3] by the names in the report's examples. An older page in the folder is replaced. Raises
    OutputError if the folder holds something else, or cannot be written.
    """
    with whole_folder(folder, FOLDER, overwrite=overwrite) as made:
        report.write_into(made)
        write_text(made / "index.html", _page(report, clips or {}))
    return Path(folder) / "index.html"


def read_clips(path: Path) -> Clips:
    """Read joints of the examples in a benchmark's folder, if any. Raises DataError."""
    file = path / "examples.safetensors"
    if not file.is_file():
        return {}
    clips, _ = read_safetensors(file)
    for name, joints in clips.items():
        if joints.ndim != 3 or joints.shape[1:] != (22, 3) or joints.dtype.kind != "f" or not np.isfinite(joints).all():
            raise DataError(f"{file} is damaged: {name} is no motion of 22 joints; run the benchmark again")
    return clips


def _page(report: Report, clips: Clips) -> str:
    concept = report.about.get("concept")
    title = f"Forgetting {concept}: methods side by side" if concept else "Evaluations side by side"
    charts, notes = _charts(report)
    paragraphs = [report.origin(), TEXTS["reading"], *notes, *report.notes]
    shown = {"charts": charts, "sheets": [_sheet(report, name) for name in report.sets()], "cell_text": cell_text}
    shown |= {"failures": report.failures(), "costs": report.costs()}
    return render("report.html.j2", "comparison", title, _players(report, clips), paragraphs, home=HERE, **shown)


def _charts(report: Report) -> tuple[list[Markup], list[str]]:
    """The plots; without matplotlib, a note on how to install it."""
    charts = []
    try:
        for title, forget, retain in TEXTS["plots"]:
            kept, forgotten = f"kept: {axis_name(report, retain[1])}", f"forgotten: {axis_name(report, forget[1])}"
            charts.append(Markup(draw(points_of(report, forget, retain), title, kept, forgotten)))
    except ConfigError as error:
        return [], [str(error)]
    return charts, []


def _players(report: Report, clips: Clips) -> list[ComparisonRow]:
    """One row of players per prompt."""
    rows = []
    for example in report.examples:
        here = [(label, np.asarray(clips[key], np.float32)) for label, key in example.motions.items() if key in clips]
        panels = [Panel(label, Clip(joints, caption=example.prompt)) for label, joints in here]
        if panels:
            rows.append(ComparisonRow(example.prompt, panels, tag=example.set, note=f"seed {example.seed}"))
    return rows


def _sheet(report: Report, part: str) -> dict[str, Any]:
    """The table of a prompt set."""
    table = report.table(part)
    metrics = report.metrics_of(part)
    lines = []
    for i, method in enumerate(report.labels(part)):
        cells = [_cell(report, part, method, m, i in table.best(n)) for n, m in enumerate(metrics, start=1)]
        lines.append({"method": method, "cells": cells})
    scales = zip(table.columns[1:], map(report.metrics.__getitem__, metrics), strict=True)
    columns = [{"title": column.title, "meaning": one.meaning, "unit": one.unit} for column, one in scales]
    return {"name": part, "prompts": report.about.get("prompts", {}).get(part), "columns": columns, "lines": lines}


def _cell(report: Report, part: str, method: str, metric: str, is_best: bool) -> dict[str, Any]:
    """One number; `is_level`: its difference from the original generator has no interval, or one that contains 0."""
    estimate = report.at(part, method, metric)
    gaps = [report.difference(part, method, metric, name) for name in YARDSTICKS if name != "retrain"]
    gap = next((gap for gap in gaps if gap is not None), None)
    about = {"text": cell_text(estimate), "value": None if estimate is None else estimate.mean, "is_best": is_best}
    if gap is None:
        return about
    level = report.repeats(part, method, metric) < 2 or gap.low <= 0 <= gap.high
    return about | {"difference": f"{gap.mean:+.2g}", "is_level": level}
