"""`python -m lab selectivity`: tests whether a trained Mamba's step sizes follow the information of its input."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
import tyro

from exuvia.config import from_dict, settings
from exuvia.errors import ConfigError
from exuvia.files import write_text
from lab.ledger.numbers import Number, record_numbers
from lab.selectivity.study import Study, StudyConfig, run_study
from lab.selectivity.summary import LayerSummary, quoted, verdict

UNITS = {"gap_bits": "bit", "slope": "1/bit"}


@settings
class SelectivityConfig:
    """What to train, and where to store it."""

    study: tyro.conf.OmitArgPrefixes[StudyConfig] = dataclasses.field(default_factory=StudyConfig)
    """Sources, seeds and sizes."""
    out: Path = Path("runs/selectivity")
    """Folder of the trained models, tables and pictures; an interrupted call continues there."""
    quick: bool = False
    """Use tiny sizes, to check that everything works."""
    threads: int = 1
    """Threads of torch; results are reproducible for the same number of threads."""
    pictures: Path | None = None
    """Second folder for the pictures, e.g. docs/results/selectivity."""
    record: Path | None = None
    """Ledger to append the results to, e.g. docs/results/numbers.jsonl."""


def bench_selectivity(config: SelectivityConfig) -> None:
    """Train small Mambas on sources whose information is known, and compare their step sizes with it.

    The sources: Markov chains of order 1 and 2 with states of very different entropy (markov, markov2), a chain with
    padding and noise between its elements (insertions), chains estimated on a text (bigram, trigram) and the text
    itself, whose information is an estimate (text). Each model has a run folder under --out; an interrupted call
    continues, and several calls can share --out if each has different sources or seeds.

    Raises:
        ConfigError: an unknown source, `text` without a file, too small a size, or a record of --quick.
        DataError: the text cannot be read.
        OutputError: a file cannot be written.
    """
    torch.set_num_threads(config.threads)
    if config.quick and config.record is not None:
        raise ConfigError("found --quick and --record, expected one of them: numbers of tiny models mean nothing")
    study = quick(config.study) if config.quick else config.study
    found = run_study(study, config.out)
    for line in tables(found):
        print(line)
    if config.pictures is not None:
        for path in found.files:
            if path.suffix == ".svg":
                write_text(config.pictures / path.name, path.read_text(encoding="utf-8"))
    if config.record is not None:
        numbers = {
            f"selectivity.{name}": Number(one.value, UNITS.get(name.split(".")[0], "1"), one.low, one.high)
            for name, one in quoted(found.summaries, found.gaps).items()
        }
        record_numbers(config.record, numbers)


def quick(study: StudyConfig) -> StudyConfig:
    """Return the study with sizes that take seconds, to check that everything works."""
    sizes = {"width": 16, "state": 4, "length": 64, "batch_size": 8, "steps": 20, "held_out": 8, "resamples": 100}
    return from_dict(StudyConfig, {f.name: getattr(study, f.name) for f in dataclasses.fields(study)} | sizes)


def tables(found: Study) -> list[str]:
    """Return the printed lines: gaps, layers against measures (* = an estimate), kinds of tokens, and the answers."""
    lines = [f"{source}: trained to {_list(gaps)} bits of its information" for source, gaps in found.gaps.items()]
    lines += ["", f"{'source':12}{'model':11}{'layer':>5}  {'measure':21}{'R²':<22}{'ranks':>7}{'slope':>10}"]
    lines[-1] += f"{'curve':>7}{'token':>7}{'partial':>8}{'rising':>7}{'log':>7}{'probe':>7}"
    lines += [_line(one) for one in found.summaries if one.model == "trained" or one.measure == "information"]
    kinds = [row for row in found.kinds if row.kind != "element" or row.source == "insertions"]
    if kinds:
        lines += ["", f"{'source':12}{'model':11}{'seed':>5}{'layer':>6}  {'kind':18}{'bits':>8}{'mean Δ':>10}"]
    for row in kinds:
        run = f"{row.source:12}{row.model:11}{row.seed:5}{row.layer:6}"
        lines.append(f"{run}  {row.kind:18}{row.information:8.2f}{row.delta:10.4f}")
    return [*lines, "", *(verdict(found.summaries, source) for source in found.gaps)]


def _line(one: LayerSummary) -> str:
    value = {name: estimate.value for name, estimate in one.statistics.items()}
    r2 = one.statistics["r2"]
    measure = one.measure if one.exact else f"{one.measure}*"
    interval = "" if r2.low is None else f"[{r2.low:.3f}, {r2.high:.3f}]"
    partial = f"{value['partial_r2']:8.3f}" if "partial_r2" in value else f"{'-':>8}"
    return (
        f"{one.source:12}{one.model:11}{one.layer:5}  {measure:21}{value['r2']:.3f} {interval:16}"
        f"{value['spearman']:7.3f}{value['slope']:10.1e}{value['any_curve_r2']:7.3f}{value['token_r2']:7.3f}"
        f"{partial}{value['channels_rising']:7.2f}{value['log_r2']:7.3f}{value['all_channels_r2']:7.3f}"
    )


def _list(gaps: Sequence[float]) -> str:
    return ", ".join(f"{gap:+.3f}" for gap in gaps)
