"""Summarises findings of several seeds: one line per layer, the quoted numbers, and a plain answer."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from lab.selectivity.measure import MEASURES, LayerFinding

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
    """The numbers for the ledger.

    r2.SOURCE of the best layer, best_layer.SOURCE, gap_bits.SOURCE, and for every layer STATISTIC.SOURCE.layerN,
    untrained_r2.SOURCE.layerN (information, model that has not learned) and MEASURE_r2.SOURCE.layerN.

    Args:
        summaries: of all sources
        gaps: held-out bits above the source's information, one per seed, by source
    """
    numbers: dict[str, Estimate] = {}
    for source in gaps:
        best = best_layer(summaries, source)
        numbers[f"r2.{source}"] = best.statistics["r2"]
        numbers[f"best_layer.{source}"] = Estimate(float(best.layer))
        numbers[f"gap_bits.{source}"] = over_seeds(gaps[source])
        for one in summaries:
            place = f"{source}.layer{one.layer}"
            if one.source != source:
                continue
            if one.measure == MEASURES[0] and one.model == "trained":
                numbers |= {f"{name}.{place}": estimate for name, estimate in one.statistics.items()}
            elif one.measure == MEASURES[0]:
                numbers[f"untrained_r2.{place}"] = one.statistics["r2"]
            elif one.model == "trained":
                numbers[f"{one.measure}_r2.{place}"] = one.statistics["r2"]
    return numbers


def verdict(summaries: Sequence[LayerSummary], source: str) -> str:
    """A few words: does Delta act as a linear approximator of information here? Judged by the best layer."""
    best = best_layer(summaries, source)
    r2, rises = best.statistics["r2"].value, best.statistics["slope"].value > 0
    if not rises:
        answer = "does not hold: Delta falls with information in every layer"
    elif r2 >= HOLDS:
        answer = "holds"
    else:
        answer = "holds weakly" if r2 >= WEAK else "does not hold"
    layers = [s for s in summaries if (s.source, s.model) == (source, "trained")]
    return f"{source}: the claim {answer}; " + "; ".join(
        _layer_in_words(s, next(n for n in layers if (n.layer, n.measure) == (s.layer, "next_entropy")))
        for s in layers
        if s.measure == MEASURES[0]
    )


def _layer_in_words(one: LayerSummary, following: LayerSummary) -> str:
    value = {name: estimate.value for name, estimate in one.statistics.items()}
    partial = value.get("partial_r2", 0.0)
    return (
        f"layer {one.layer} {'rises' if value['slope'] > 0 else 'falls'}: R² {value['r2']:.2f} (any curve "
        f"{value['any_curve_r2']:.2f}, entropy of what comes next {following.statistics['r2'].value:.2f}), the token "
        f"alone explains {value['token_r2']:.2f}, information {partial:.2f} of the rest"
        f"{'' if partial >= BEYOND else ', hardly more than identity'}"
    )


def over_seeds(values: Sequence[float], within: tuple[float, float] | None = None) -> Estimate:
    """Mean and 95 % interval of one value per seed; `within` bounds the interval."""
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
