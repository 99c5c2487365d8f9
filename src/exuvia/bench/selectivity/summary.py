"""Findings of several seeds as one line a layer, what is quoted of them, and a plain answer."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from exuvia.bench.selectivity.measure import MEASURES, LayerFinding

STATISTICS = (
    "r2", "spearman", "slope", "partial_r2", "token_r2", "any_curve_r2", "shuffled_r2", "channels_rising", "log_r2",
    "all_channels_r2", "delta_mean", "delta_std",
)  # fmt: skip
"""What is averaged over seeds. partial_r2: of the measure beyond the identity of the token."""
HOLDS, WEAK, BEYOND = 0.5, 0.1, 0.1
"""R² from which the claim is said to hold, or to hold weakly; partial R² from which it is more than the token."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and its 95 % interval (Student's t); of one seed, the bootstrap's where there is one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class LayerSummary:
    """One layer of a trained or untrained model against one measure, over seeds."""

    source: str
    model: str
    layer: int
    measure: str
    exact: bool
    seeds: int
    statistics: Mapping[str, Estimate]
    """By the names of STATISTICS; without those that are not defined."""


def summarise(findings: Iterable[LayerFinding]) -> list[LayerSummary]:
    """Findings of several seeds -> one summary a source, model, layer and measure, in the order they came."""
    groups: dict[tuple[str, str, int, str, bool], list[LayerFinding]] = {}
    for one in findings:
        groups.setdefault((one.source, one.model, one.layer, one.measure, one.exact), []).append(one)
    return [LayerSummary(*key, len(group), _statistics(group)) for key, group in groups.items()]


def best_layer(summaries: Sequence[LayerSummary], source: str) -> LayerSummary:
    """The layer of the trained model that gives the claim its best chance: the largest R² on a rising line.

    It is chosen once a source, by the mean over seeds, from the few layers there are; all of them are in the table.
    """
    layers = [s for s in summaries if (s.source, s.model, s.measure) == (source, "trained", MEASURES[0])]
    return max(layers, key=lambda s: math.copysign(s.statistics["r2"].value, s.statistics["slope"].value))


def quoted(summaries: Sequence[LayerSummary], gaps: Mapping[str, Sequence[float]]) -> dict[str, Estimate]:
    """The numbers for the ledger, by name: `STATISTIC.SOURCE` of the best layer, `r2.SOURCE.layerN`, controls, gaps.

    Args:
        summaries: of all sources
        gaps: held-out bits above the source's information, one a seed, by source
    """
    numbers: dict[str, Estimate] = {}
    for source in gaps:
        best = best_layer(summaries, source)
        numbers |= {f"{name}.{source}": estimate for name, estimate in best.statistics.items()}
        for one in summaries:
            if one.source != source:
                continue
            if one.model == "trained" and one.measure == MEASURES[0]:
                numbers[f"r2.{source}.layer{one.layer}"] = one.statistics["r2"]
            if one.layer == best.layer and (one.model, one.measure) == ("untrained", MEASURES[0]):
                numbers[f"untrained_r2.{source}"] = one.statistics["r2"]
            if one.layer == best.layer and one.model == "trained" and one.measure != MEASURES[0]:
                numbers[f"{one.measure}_r2.{source}"] = one.statistics["r2"]
        numbers[f"best_layer.{source}"] = Estimate(float(best.layer))
        numbers[f"gap_bits.{source}"] = over_seeds(gaps[source])
    return numbers


def verdict(summaries: Sequence[LayerSummary], source: str) -> str:
    """One sentence: does Delta act as a linear approximator of information here?"""
    best = best_layer(summaries, source)
    value = {name: estimate.value for name, estimate in best.statistics.items()}
    others = {
        s.measure: s.statistics["r2"].value
        for s in summaries
        if (s.source, s.model, s.layer) == (source, "trained", best.layer)
    }
    if value["slope"] <= 0:
        answer = "does not hold: Delta falls with information in every layer"
    elif value["r2"] >= HOLDS:
        answer = "holds"
    elif value["r2"] >= WEAK:
        answer = "holds weakly"
    else:
        answer = "does not hold"
    partial = value.get("partial_r2", 0.0)
    return (
        f"{source}: the claim {answer} (layer {best.layer}: R² {value['r2']:.2f}, any curve "
        f"{value['any_curve_r2']:.2f}, slope {value['slope']:+.2g} a bit); the token alone explains "
        f"{value['token_r2']:.2f} of Delta, information beyond it {partial:.2f} of the rest "
        f"({'more' if partial >= BEYOND else 'hardly more'} than identity); "
        f"the entropy of what comes next: R² {others['next_entropy']:.2f}"
    )


def over_seeds(values: Sequence[float], within: tuple[float, float] | None = None) -> Estimate:
    """Mean and 95 % interval of one value a seed; `within` bounds the interval."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean)
    half = float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values)))
    low, high = mean - half, mean + half
    return Estimate(mean, *(np.clip([low, high], *within).tolist() if within else (low, high)))


def as_row(finding: LayerFinding) -> dict[str, object]:
    """A finding as one line of a tidy table."""
    row = {f.name: getattr(finding, f.name) for f in dataclasses.fields(finding) if f.name != "relation"}
    return row | dataclasses.asdict(finding.relation) | {"partial_r2": finding.relation.within_r**2}


def _statistics(group: Sequence[LayerFinding]) -> dict[str, Estimate]:
    rows = [as_row(one) for one in group]
    found: dict[str, Estimate] = {}
    for name in STATISTICS:
        values = [float(str(row[name])) for row in rows]
        if not np.isfinite(values).all():
            continue
        share = name.endswith("r2") and name not in ("token_r2", "all_channels_r2")  # those two can be below 0
        found[name] = over_seeds(values, (0.0, 1.0) if share else None)
    if len(group) == 1:
        one = group[0].relation
        found["r2"] = Estimate(one.r2, one.r2_low, one.r2_high)
        found["spearman"] = Estimate(one.spearman, one.spearman_low, one.spearman_high)
    return found
