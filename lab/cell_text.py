"""A benchmark's cells as aligned text."""

from collections.abc import Mapping, Sequence

from lab.cells import FAILED, LIMIT, SKIPPED, Cell
from lab.methods import METHODS
from lab.results import Results, rate_gb_s
from lab.roofline import PASSES, Rates, roofline_ms
from lab.scan_numbers import MEGABYTE

HEADING = {"forward": "forward", "fwd_bwd": "forward + backward"}
_COLUMNS = f"{'ms':>11}{'MB':>8}{'GB/s':>8}{'× roofline':>11}"


def text_table(results: Results, titles: Mapping[str, str]) -> list[str]:
    """Return one block per size with one line per method, then the reasons why methods are missing."""
    wide = max([len(titles.get(method, method)) for method in results.methods], default=0) + 2
    lines = []
    if results.rates is not None:
        rates = results.rates
        lines.append(
            f"this machine: {rates.bytes_per_s / 1e9:.1f} GB/s, {rates.exps_per_s / 1e9:.2f}e9 exponentials/s "
            f"({rates.source}), {results.protocol.threads} threads"
        )
    for size in results.sizes:
        lines += ["", f"{'B x L x D x N = ' + str(size):{wide}}" + "".join(f"{HEADING[w]:>38}" for w in PASSES)]
        lines.append(" " * wide + _COLUMNS * len(PASSES))
        for method in results.methods:
            cells = [results.at(method, size, which) for which in PASSES]
            if any(cell is not None and cell.status != SKIPPED for cell in cells):
                title = titles.get(method, method)
                lines.append(f"{title:{wide}}" + "".join(_text_cell(cell, results.rates) for cell in cells))
        if results.rates is not None:
            best = [f"{roofline_ms(size, which, results.rates):11.3f}" + " " * 27 for which in PASSES]
            lines.append(f"{'roofline':{wide}}" + "".join(best))
    lines += ["", "*: too few undisturbed bursts, so the best call; >: ended at the limit"]
    return [line.rstrip() for line in lines] + _missing(results.cells, titles)


def _text_cell(cell: Cell | None, rates: Rates | None) -> str:
    if cell is None or cell.status == SKIPPED:
        return " " * 38
    if cell.status == FAILED or cell.ms is None:
        return f"{'failed':>11}" + " " * 27
    if cell.status == LIMIT:
        return f"{'> ' + format(cell.ms, '.0f'):>11}" + " " * 27
    mark = " " if cell.median_ms is not None else "*"
    extra = "?" if cell.extra_bytes is None else f"{cell.extra_bytes / MEGABYTE:.1f}"
    rate = over = ""
    if _is_scan(cell.method) and rates is not None:
        rate, over = f"{rate_gb_s(cell):.2f}", f"{cell.ms / roofline_ms(cell.size, cell.which, rates):.1f}"
    return f"{cell.ms:10.3f}{mark}{extra:>8}{rate:>8}{over:>11}"


def _missing(cells: Sequence[Cell], titles: Mapping[str, str]) -> list[str]:
    """Return a line with the reason for every method that was skipped or failed."""
    skipped = {cell.method: cell.reason for cell in cells if cell.status == SKIPPED}
    lines = [f"{titles.get(method, method)}: skipped, {reason}" for method, reason in skipped.items()]
    for cell in cells:
        if cell.status == FAILED:
            lines.append(f"{titles.get(cell.method, cell.method)}, {cell.size}, {cell.which}: failed, {cell.reason}")
    return lines


def _is_scan(method: str) -> bool:
    return method in METHODS and METHODS[method].kind == "scan"
