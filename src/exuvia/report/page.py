"""A benchmark as one offline page: sortable tables by prompt set, Pareto plots, costs, and players side by side."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from exuvia.errors import DataError
from exuvia.files import whole_folder, write_json, write_text
from exuvia.motion.clip import Clip
from exuvia.report.export import to_csv, to_json, to_latex
from exuvia.report.pareto import axis_name, draw, points_of
from exuvia.report.summary import Line, Summary, read_results
from exuvia.view.page import ComparisonRow, Panel, write_comparison

PLOTS = (
    ("Captions to forget", ("forget", "violence_rate"), ("retain", "r_precision@3")),
    ("Prompts that name nothing", ("implicit", "violence_rate"), ("retain", "r_precision@3")),
    ("Captions, quality by KID", ("forget", "violence_rate"), ("retain", "kid")),
)
STYLE = """
.report{padding:0 1rem;max-width:1180px;margin:0 auto}
.report section[hidden]{display:none}
.tabs{display:flex;flex-wrap:wrap;gap:.3rem;margin:1rem 0 .5rem}
.tabs button{font:inherit;padding:.3rem .7rem;border:1px solid currentColor;border-radius:.4rem}
.tabs button{background:none;color:inherit;cursor:pointer;opacity:.65}
.tabs button[aria-selected=true]{opacity:1;font-weight:600}
.report .scroll{overflow-x:auto}
.report table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.85rem}
.report th,.report td{padding:.25rem .6rem;text-align:right;white-space:nowrap;border-bottom:1px solid #8884}
.report th:first-child,.report td:first-child{text-align:left;position:sticky;left:0;background:var(--paper,Canvas)}
.report thead th{cursor:pointer}
.report tr.real,.report tr.retrain{font-style:italic;background:#8881}
.report small{opacity:.75}
.report .same{opacity:.4}
.plots{display:flex;flex-wrap:wrap;gap:1rem}
.report .pareto{flex:0 1 520px;width:100%;max-width:520px;height:auto;font:12px sans-serif;fill:currentColor}
.report .pareto .title{font-size:14px}
.panels{grid-template-columns:repeat(auto-fill,minmax(150px,1fr))}
.pareto .grid{stroke:#8884;fill:none}
.pareto .bar{stroke:currentColor;opacity:.45;fill:none}
.pareto .front{stroke:#2563a8;stroke-dasharray:4 3;fill:none}
.pareto .dot{fill:#c2410c}
.pareto .yardstick{fill:#2563a8}
"""
SCRIPT = """
for (const tab of document.querySelectorAll('.tabs button')) tab.addEventListener('click', () => {
  for (const other of document.querySelectorAll('.tabs button')) {
    other.setAttribute('aria-selected', String(other === tab));
    document.getElementById(other.dataset.set).hidden = other !== tab;
  }
});
for (const head of document.querySelectorAll('.report thead th')) {
  const sort = () => {
    const body = head.closest('table').tBodies[0], column = head.cellIndex, up = head.dataset.up !== '1';
    for (const other of head.parentNode.cells) { delete other.dataset.up; other.removeAttribute('aria-sort'); }
    head.dataset.up = up ? '1' : '0';
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const rows = [...body.rows].sort((a, b) => {
      const x = parseFloat(key(a)), y = parseFloat(key(b));
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || key(a).localeCompare(key(b));
      return x - y;
    });
    if (!up) rows.reverse();
    body.append(...rows);
  };
  head.tabIndex = 0;
  head.addEventListener('click', sort);
  head.addEventListener('keydown', event => { if (event.key === 'Enter') sort(); });
}
"""


def write_report(folder: str | Path, out: str | Path | None = None) -> Path:
    """Draw index.html, table.csv, table.json and table.tex of a benchmark's folder; nothing is run again.

    Args:
        folder: written by `exuvia benchmark`
        out: folder of the report; None: `report` in it. An older one is replaced whole
    Raises:
        DataError: no results there, or damaged ones.
        OutputError: it cannot be written.
    """
    summary = read_results(folder)
    clips = _clips(Path(folder) / "examples.safetensors")
    target = Path(out) if out is not None else Path(folder) / "report"
    with whole_folder(target) as made:
        write_text(made / "table.csv", to_csv(summary))
        write_json(made / "table.json", to_json(summary))
        write_text(made / "table.tex", to_latex(summary))
        title = f"Forgetting {summary.about.get('concept', '')}: methods side by side"
        write_comparison(made / "index.html", title, _rows(summary, clips), notes=_notes(summary), top=_top(summary))
    return target / "index.html"


def _clips(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error})") from None


def _rows(summary: Summary, clips: dict[str, Any]) -> list[ComparisonRow]:
    """A row of players a prompt."""
    rows = []
    for example in summary.examples:
        panels = [
            Panel(label, Clip(np.asarray(clips[key], np.float32), caption=example["prompt"]))
            for label, key in example["motions"].items()
            if key in clips
        ]
        if panels:
            rows.append(ComparisonRow(example["prompt"], panels, tag=example["set"], note=f"seed {example['seed']}"))
    return rows


def _notes(summary: Summary) -> list[str]:
    about = summary.about
    sensors = " ".join(about.get("sensors", ())) or "all sensors"
    facts = (
        f"{about.get('pipeline')} on the {about.get('split')} split of {about.get('data')} ({sensors}), seeds "
        f"{', '.join(map(str, about.get('seeds', ())))}; commit {about.get('commit')}, {about.get('date')}. "
        f"Made by: {about.get('command')}"
    )
    reading = (
        "Mean and half the 95 % interval over seeds. A small second number is the difference from the untouched "
        "generator (none), pale where its interval holds zero. A model that freezes or collapses also forgets: read "
        "violence beside speed, freezing and the retain set, and take retrain, which never saw the concept, as the "
        "yardstick. FID is biased upwards on small sets."
    )
    return [facts, reading, *about.get("notes", ())]


def _top(summary: Summary) -> str:
    """Plots, tabs and tables, as HTML."""
    plots = "".join(
        draw(
            points_of(summary, forget, retain),
            title,
            f"kept: {axis_name(summary, retain[1])}",
            f"forgotten: {axis_name(summary, forget[1])}",
        )
        for title, forget, retain in PLOTS
    )
    sets = summary.sets()
    tabs = "".join(
        f'<button role="tab" data-set="set-{i}" aria-selected="{str(i == 0).lower()}">{escape(name)} '
        f"({summary.about.get('prompts', {}).get(name, '')})</button>"
        for i, name in enumerate(sets)
    )
    tables = "".join(_table(summary, name, f"set-{i}", i > 0) for i, name in enumerate(sets))
    failed = "".join(
        f"<p>{escape(one['label'])} failed: {escape(one['message'])}</p>"
        for one in summary.methods
        if one["status"] != "ok"
    )
    return (
        f'<style>{STYLE}</style><div class="report"><div class="plots">{plots}</div><div class="tabs" role="tablist">'
        f"{tabs}</div>{tables}{failed}{_costs(summary)}</div><script>{SCRIPT}</script>"
    )


def _table(summary: Summary, name: str, anchor: str, hidden: bool) -> str:
    metrics = [m for m in summary.metrics if any((x.set, x.metric) == (name, m) for x in summary.lines)]
    arrows = {"higher": "↑", "lower": "↓", "closer": "→"}
    head = "".join(
        f'<th scope="col" title="{escape(summary.metrics[m]["meaning"])} ({escape(summary.metrics[m]["unit"])})">'
        f"{escape(m)} {arrows[summary.metrics[m]['better']]}</th>"
        for m in metrics
    )
    body = []
    for method in summary.labels(name):
        cells = "".join(_cell(summary.at(name, method, metric)) for metric in metrics)
        body.append(f'<tr class="{escape(method)}"><th scope="row">{escape(method)}</th>{cells}</tr>')
    return (
        f'<section id="{anchor}" role="tabpanel"{" hidden" if hidden else ""}><div class="scroll"><table><thead><tr>'
        f'<th scope="col">method</th>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div></section>'
    )


def _cell(line: Line | None) -> str:
    if line is None:
        return "<td></td>"
    text = f"{line.estimate.mean:.3g}"
    if line.seeds > 1:
        text += f" ± {line.estimate.half_width:.2g}"
    found = line.against.get("none")
    if found is not None and line.method != "real":
        css = "" if line.differs("none") else ' class="same"'
        text += f" <small{css}>{found.mean:+.2g}</small>"
    return f'<td data-value="{line.estimate.mean!r}">{text}</td>'


def _costs(summary: Summary) -> str:
    """Seconds and memory of edits and evaluations."""
    names = [("edit_s", "edit, s"), ("edit_peak_mb", "edit, MB")]
    names += [("evaluation_s", "evaluation, s"), ("evaluation_peak_mb", "evaluation, MB")]
    head = "".join(f'<th scope="col">{text}</th>' for _, text in names)
    rows = "".join(_cost_row(one, [key for key, _ in names]) for one in summary.methods)
    return (
        '<h2>What it cost</h2><div class="scroll"><table><thead><tr><th scope="col">method</th>'
        f"{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cost_row(one: Any, keys: Sequence[str]) -> str:
    cells = "".join("<td></td>" if one.get(key) is None else f"<td>{one[key]:.3g}</td>" for key in keys)
    return f'<tr><th scope="row">{escape(one["label"])}</th>{cells}</tr>'
