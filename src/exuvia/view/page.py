"""Clips as one offline HTML page with 3-D players: one clip, a gallery, or rows of comparisons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from exuvia.errors import ConfigError
from exuvia.files import write_text
from exuvia.motion.clip import Clip
from exuvia.view.payload import pack_clip, pack_skeleton, script_json


@dataclass(frozen=True)
class Panel:
    """One player of a row."""

    title: str
    """What is shown, such as the model's name."""
    clip: Clip
    """The motion."""
    codes: Sequence[int] = ()
    """Motion codes in order of time, drawn as a ribbon that spans the clip; none, no ribbon."""
    replaced: Sequence[int] = ()
    """Positions in `codes` that unlearning has replaced; marked."""

    def __post_init__(self) -> None:
        outside = [int(i) for i in self.replaced if not 0 <= i < len(self.codes)]
        if outside:
            raise ConfigError(
                f"found a replaced position {outside[0]} in {len(self.codes)} codes, expected one of them"
            )


@dataclass(frozen=True)
class ComparisonRow:
    """One prompt and its motions, side by side on one timeline, seen by one camera."""

    prompt: str
    """The text that the motions were made from."""
    panels: Sequence[Panel]
    """Two or more players."""
    tag: str = ""
    """A word beside the prompt, such as `forget` or `retain`."""
    note: str = ""
    """A sentence under the prompt."""


def write_page(clips: Clip | Sequence[Clip], path: str | Path, *, title: str | None = None) -> None:
    """Write one clip as a page-filling player, or several as a gallery of players.

    The page needs no network and nothing beside it. `#t=0.5` at the end of its address shows the moment
    half a second in.

    Args:
        title: the heading; where None the caption of a single clip, or how many it shows one after another.
    Raises:
        ConfigError: no clips.
        OutputError: the file cannot be written.
    """
    single = isinstance(clips, Clip)
    chosen: list[Clip] = [clips] if isinstance(clips, Clip) else list(clips)
    if not chosen:
        raise ConfigError("found no clips for the page, expected at least one")
    rows = [ComparisonRow(clip.caption or f"Motion {i + 1}", [Panel("", clip)]) for i, clip in enumerate(chosen)]
    if single:
        scenes = len(chosen[0].meta.get("scenes", ()))
        heading = title or (f"{scenes} captions, one motion" if scenes > 1 else chosen[0].caption) or "Motion"
        intro = f'<p class="facts">{escape(_facts(chosen[0]))}</p>'
        body = _row(0, rows[0], head=False)
    else:
        heading = title or f"{len(chosen)} motions"
        intro = ""
        body = "\n".join(_row(i, row, head=True, facts=_facts(chosen[i])) for i, row in enumerate(rows))
    write_text(path, _document("player" if single else "gallery", heading, intro, body, rows))


def write_comparison(
    path: str | Path,
    title: str,
    rows: Sequence[ComparisonRow],
    table: Sequence[Mapping[str, Any]] | None = None,
    notes: str | Sequence[str] = (),
    top: str = "",
) -> None:
    """Write rows of players, such as original and unlearned model, under a table of measurements.

    Args:
        table: one dictionary a line; the first key is the line's name, the union of keys are the columns.
        notes: paragraphs under the title.
        top: HTML above the players, made by the caller, its texts escaped; with it there may be no rows.
    Raises:
        ConfigError: no rows, or a row without players.
        OutputError: the file cannot be written.
    """
    if not (rows or top) or any(not row.panels for row in rows):
        raise ConfigError("found no rows, or a row without players, expected at least one player in each of the rows")
    paragraphs = [notes] if isinstance(notes, str) else notes
    intro = "\n".join(f'<p class="notes">{escape(text)}</p>' for text in paragraphs if text)
    summary = _table(table) if table else ""
    body = "\n".join(_row(i, row, head=True) for i, row in enumerate(rows))
    write_text(path, _document("comparison", title, intro, body, rows, top + summary))


def _facts(clip: Clip) -> str:
    parts = [f"{clip.frames} frames", f"{clip.fps:g} frames a second", f"{clip.duration_s:.1f} s"]
    source = clip.meta.get("source")
    return " · ".join([*parts, source] if isinstance(source, str) else parts)


def _row(index: int, row: ComparisonRow, head: bool, facts: str = "") -> str:
    tag = f'<span class="tag">{escape(row.tag)}</span>' if row.tag else ""
    under = "".join(f'<p class="facts">{escape(text)}</p>' for text in (row.note, facts) if text)
    lines = [f'<div class="row-head"><h2>{escape(row.prompt)}</h2>{tag}{under}</div>'] if head else []
    lines.append(f'<div class="panels" style="--panels:{len(row.panels)}">')
    lines += [_panel(panel, row.prompt) for panel in row.panels]
    lines.append('</div><div class="timeline"></div>')
    label = escape(row.prompt)
    return f'<section class="row" data-row="{index}" aria-label="{label}">\n' + "\n".join(lines) + "\n</section>"


def _panel(panel: Panel, prompt: str) -> str:
    caption = ""
    if panel.title:
        seconds = f'<span class="facts">{panel.clip.duration_s:.1f} s</span>'
        caption = f"<figcaption><span>{escape(panel.title)}</span>{seconds}</figcaption>"
    ribbon = ""
    if len(panel.codes):
        label = f"{len(panel.codes)} motion codes, {len(set(panel.replaced))} replaced"
        ribbon = f'<div class="ribbon" role="group" aria-label="{label}"></div>'
    return f'<figure data-name="{escape(panel.title or prompt)}">{caption}<div class="screen"></div>{ribbon}</figure>'


def _cell(value: Any) -> str:
    """A table cell's text: floats with four significant digits, whole numbers with separators, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _table(lines: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(str(key) for line in lines for key in line))
    words = {c for c in columns if any(isinstance(line.get(c), str) for line in lines)}
    css = {column: ' class="words"' if column in words else "" for column in columns}
    head = "".join(f'<th scope="col"{css[c]}>{escape(c)}</th>' for c in columns)
    body = []
    for line in lines:
        first, *rest = (escape(_cell(line.get(c))) for c in columns)
        cells = "".join(f"<td{css[c]}>{text}</td>" for c, text in zip(columns[1:], rest, strict=True))
        body.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    return (
        '<div class="table-wrap"><div class="table-scroll" tabindex="0" role="region" aria-label="Measurements"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div></div>"
    )


def _asset(name: str) -> str:
    return files("exuvia.view").joinpath("assets", name).read_text(encoding="utf-8")


_KEYS = (
    "<details><summary>Keyboard and mouse</summary><p><kbd>space</kbd> play or pause · <kbd>←</kbd> <kbd>→</kbd> one "
    "frame back or on · drag, or arrow keys on a view: turn · <kbd>shift</kbd> + drag: move · <kbd>ctrl</kbd> + wheel, "
    "pinch, <kbd>+</kbd> <kbd>-</kbd>: zoom · <kbd>f</kbd> follow · <kbd>p</kbd> path · <kbd>t</kbd> trails · "
    "<kbd>r</kbd> reset the camera · <kbd>a</kbd> play all · <kbd>d</kbd> dark or light</p></details>"
)
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def _document(kind: str, title: str, intro: str, body: str, rows: Sequence[ComparisonRow], summary: str = "") -> str:
    """The whole page. Texts arrive escaped in `intro`, `summary` and `body`; `title` is escaped here."""
    panels = [
        [
            {
                "clip": pack_clip(panel.clip),
                "codes": [int(code) for code in panel.codes],
                "replaced": sorted({int(i) for i in panel.replaced}),
            }
            for panel in row.panels
        ]
        for row in rows
    ]
    data = {"kind": kind, "skeleton": pack_skeleton(), "rows": [{"panels": each} for each in panels]}
    marks = any(panel.replaced for row in rows for panel in row.panels)
    legend = '<span style="--dot:var(--left)">left</span><span style="--dot:var(--right)">right</span>'
    legend += '<span class="is-mark" style="--dot:var(--mark)">replaced code</span>' if marks else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="Exuvia">
<title>{escape(title)}</title>
<style>{_asset("player.css")}</style>
</head>
<body class="{kind}">
<header class="top"><h1>{escape(title)}</h1>
{intro}</header>
{summary}
<div class="bar"><div class="bar-inner"><div class="legend">{legend}</div><div class="toolbar"></div></div></div>
<main class="rows">
<noscript><p class="notes">The 3-D players need JavaScript.</p></noscript>
{body}
</main>
<footer>{_KEYS}</footer>
<script type="application/json" id="exuvia-data">{script_json(data)}</script>
<script>{_asset("player.js")}</script>
</body>
</html>
"""
