"""`exuvia report`: compares evaluations and benchmarks, as tables or as a page."""

from pathlib import Path
from typing import Annotated

import tyro

from exuvia.config import settings
from exuvia.errors import ConfigError

WRITERS = {".md": "markdown", ".csv": "csv", ".tex": "latex"}
"""Suffix of a file -> method of a report that makes its text."""


@settings
class ReportConfig:
    """Reports to show."""

    files: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="REPORT ...")]
    """Folders of `exuvia evaluate` or `exuvia benchmark`, or their report.json; several are compared."""
    out: Path | None = None
    """A .md, .csv or .tex file, or a folder for a page with all of these; without it, the tables are printed."""
    overwrite: bool = False
    """Whether to replace the folder of the page whatever it contains."""
    only: tuple[str, ...] = ()
    """Prefixes of the quantities to show, e.g. forget. retain.fid."""


def report(config: ReportConfig) -> None:
    """Compare the reports of evaluations and benchmarks; nothing is measured again."""
    from exuvia.evaluation.report import read_report, side_by_side
    from exuvia.files import check_folder, write_text
    from exuvia.report.page import FOLDER, read_clips, write_report

    if not config.files:
        raise ConfigError("found no report, expected at least one folder of `exuvia evaluate` or `exuvia benchmark`")
    if config.out is not None and config.out.suffix not in ("", *WRITERS):
        raise ConfigError(f"found the file {config.out}, expected a folder or a name in {', '.join(WRITERS)}")
    if config.out is not None and not config.out.suffix:
        check_folder(config.out, FOLDER, overwrite=config.overwrite, sources=config.files)
    folders = [(path.parent if path.name == "report.json" else path).resolve() for path in config.files]
    names = [folder.name.removesuffix(".json") for folder in folders]
    labels = [str(path) if names.count(name) > 1 else name for name, path in zip(names, config.files, strict=True)]
    shown = side_by_side(dict(zip(labels, map(read_report, config.files), strict=True)))
    if config.only:
        shown = shown.only(config.only)
    if config.out is None:
        print(shown)
    elif config.out.suffix:
        text: str = getattr(shown, WRITERS[config.out.suffix])()
        write_text(config.out, text.rstrip("\n") + "\n")
        print(config.out)
    else:
        clips = read_clips(config.files[0]) if len(config.files) == 1 else {}
        print(write_report(shown, config.out, clips, overwrite=config.overwrite))
