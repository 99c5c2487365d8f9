"""Rows of the sequence benchmarks as markdown whose numbers quote the ledger."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def document_table(rows: Sequence[Row], columns: str, metric: str, short: str, name_of: Callable[[Row], str]) -> str:
    """Three tables, a line a variant: the metric with its deviation; training time, and times the backbone's; memory.

    Args:
        rows: of `lra.run.table` or `lm.run.table`
        columns: key of the rows that names a column: "task" or "text"
        metric: key of the value; short: its name in the ledger
        name_of: a row's name in the ledger, without the metric
    """
    places = list(dict.fromkeys(row[columns] for row in rows))
    variants = list(dict.fromkeys(row["variant"] for row in rows))
    at = {(row[columns], row["variant"]): row for row in rows}

    def line(variant: str, cell: Callable[[Row], str]) -> str:
        cells = [cell(at[place, variant]) if (place, variant) in at else "" for place in places]
        name = f"`{variant}`" if "@" in variant else variant  # a name, whatever numbers are in it
        return f"| {name} | {' | '.join(cells)} |"

    def value(row: Row) -> str:
        shown = _tag(f"{name_of(row)}.{short}", row[metric], 3)
        spread = row["deviation"]
        return shown if spread is None else f"{shown} ± {_tag(f'{name_of(row)}.{short}_deviation', spread, 3)}"

    def cost(row: Row) -> str:
        seconds = _tag(f"{name_of(row)}.train_s", row["train_s"], 0)
        ratio = row["times_backbone"]
        return seconds if ratio is None else f"{seconds} ({_tag(f'{name_of(row)}.times_backbone', ratio, 2)})"

    def memory(row: Row) -> str:
        return _tag(f"{name_of(row)}.kept_mb", row["kept_mb"], 1)

    head, rule = f"| {' | '.join(places)} |", "|---" * (len(places) + 1) + "|"
    first = [f"| {metric.replace('_', ' ')} {head}", rule, *(line(variant, value) for variant in variants)]
    second = [f"| training, s (times the backbone's) {head}", rule, *(line(variant, cost) for variant in variants)]
    third = [f"| kept for the backward pass, MB a batch {head}", rule, *(line(v, memory) for v in variants)]
    return "\n".join([*first, "", *second, "", *third])


def _tag(name: str, value: float, digits: int) -> str:
    return f"<!--n:{name}-->{value:.{digits}f}<!--/n-->"
