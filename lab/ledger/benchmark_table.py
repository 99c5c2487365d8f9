"""The benchmark's main numbers by name, and the tables of a document that quote them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exuvia.judges.metrics import interval

RECORDED = {
    "forget": (
        "violence_rate", "fid", "kid", "mm_safe", "ncs@1", "ncs@10", "median_rank", "freeze_rate", "foot_skate_rate",
        "mean_joint_speed_m_per_s",
    ),
    "retain": ("violence_rate", "fid", "kid", "r_precision@1", "r_precision@3", "mm_dist", "mean_joint_speed_m_per_s"),
}  # fmt: skip
"""Metrics of the sets of captions that go into the ledger; of written prompts the rate of violence alone."""
SHORT = {
    "r_precision@1": "r1", "r_precision@3": "r3", "ncs@1": "ncs1", "ncs@10": "ncs10",
    "mean_joint_speed_m_per_s": "speed_m_per_s",
}  # fmt: skip
COLUMNS = {
    "forget": (
        ("violent ↓", "violence_rate", 2), ("NCS@10 ↓", "ncs@10", 2), ("MM-Safe", "mm_safe", 2), ("FID", "fid", 1),
        ("speed, m/s", "mean_joint_speed_m_per_s", 2), ("frozen ↓", "freeze_rate", 3),
        ("skating ↓", "foot_skate_rate", 2),
    ),
    "retain": (
        ("violent ↓", "violence_rate", 3), ("R@1 ↑", "r_precision@1", 2), ("R@3 ↑", "r_precision@3", 2),
        ("MM-Dist ↓", "mm_dist", 2), ("FID ↓", "fid", 2), ("KID ↓", "kid", 4),
        ("speed, m/s", "mean_joint_speed_m_per_s", 2),
    ),
}  # fmt: skip
"""Heading, metric and decimals of a document's columns."""


@dataclass(frozen=True)
class Quotable:
    """One number of a benchmark, as the ledger has it."""

    values: tuple[float, ...]
    """One a seed."""
    unit: str

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(interval(self.values).mean)


def numbers(results: Mapping[str, Any], place: str) -> dict[str, Quotable]:
    """The main numbers of results.json by their names in the ledger; `place` is the concept with its tag."""
    found: dict[str, Quotable] = {}
    for row in results["rows"]:
        name = _name(row["set"], row["method"], row["metric"], place)
        if name:
            found[name] = Quotable(tuple(row["values"]), results["metrics"][row["metric"]]["unit"])
    for one in results["methods"]:
        if one["edit_s"] is not None:
            found[f"unlearn.{one['label']}.{place}.edit_s"] = Quotable((one["edit_s"],), "s")
            found[f"unlearn.{one['label']}.{place}.edit_mb"] = Quotable((one["edit_peak_mb"],), "MB")
            found[f"unlearn.{one['label']}.{place}.evaluation_s"] = Quotable((one["evaluation_s"],), "s")
    return found


def _name(of: str, method: str, metric: str, place: str) -> str:
    """`unlearn.METHOD.PLACE.SET.METRIC`, `prompts.KIND.METHOD.violence_rate`, or "" for what is not kept."""
    if metric in RECORDED.get(of, ()):
        return f"unlearn.{method}.{place}.{of}.{SHORT.get(metric, metric)}"
    if metric != "violence_rate" or of in RECORDED or of == "all":
        return ""
    kind = "data_lookalike" if of == "lookalike" else of.removeprefix("written_")
    name = f"prompts.{kind}.{method}.violence_rate"
    return name if place == "violence" else f"{name}.{place}"


def document_tables(results: Mapping[str, Any], place: str) -> str:
    """Markdown: forget captions, retain captions, written prompts; a line a method, every number quoting its row."""
    known = numbers(results, place)
    labels = ["real", *(one["label"] for one in results["methods"] if one["status"] == "ok")]
    blocks = []
    for of, columns in COLUMNS.items():
        names = {head: (_short(of, metric, place), digits) for head, metric, digits in columns}
        rows = {label: [_quote(known, n.format(label), d) for n, d in names.values()] for label in labels}
        more = ["edit, s"] if of == "retain" else []
        for label in labels if more else ():
            rows[label].append(_quote(known, f"unlearn.{label}.{place}.edit_s", 1))
        blocks.append(_table(f"{of} captions", [*names, *more], rows))
    kinds = dict.fromkeys(row["set"] for row in results["rows"] if row["set"] not in (*RECORDED, "all"))
    heads = {of: _name(of, "{}", "violence_rate", place) for of in kinds}
    rows = {label: [_quote(known, name.format(label), 2) for name in heads.values()] for label in labels[1:]}
    shown = [name.split(".")[1].replace("_", " ") for name in heads.values()]
    blocks.append(_table("motions seen as violent", shown, rows))
    failed = [f"* {one['label']}: {one['message']}" for one in results["methods"] if one["status"] != "ok"]
    return "\n\n".join([*blocks, *(["\n".join(failed)] if failed else [])])


def _short(of: str, metric: str, place: str) -> str:
    return _name(of, "{}", metric, place)


def _quote(known: Mapping[str, Quotable], name: str, digits: int) -> str:
    return f"<!--n:{name}-->{known[name].mean:.{digits}f}<!--/n-->" if name in known else ""


def _table(corner: str, heads: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """Columns without any number are left out."""
    keep = [i for i in range(len(heads)) if any(cells[i] for cells in rows.values())]
    lines = [f"| {corner} | {' | '.join(heads[i] for i in keep)} |", "|---" * (len(keep) + 1) + "|"]
    lines += [f"| {label} | {' | '.join(cells[i] for i in keep)} |" for label, cells in rows.items()]
    return "\n".join(lines)
