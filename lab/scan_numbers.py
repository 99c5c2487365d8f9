"""Numbers of a scan benchmark for documents: speed against each peer and the roofline, memory, growth with L."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lab.cells import MEASURED, Cell, ratio
from lab.ledger.numbers import Number
from lab.methods import METHODS
from lab.results import Results
from lab.roofline import PASSES, Size, input_bytes, roofline_ms

MEGABYTE = 1e6


class Bound(NamedTuple):
    """A ratio at one size."""

    value: float
    at_least: bool
    """the slower of the two was stopped at its time limit"""


def worst(bounds: Iterable[Bound | None], *, largest: bool = False) -> Number | None:
    """Return the smallest (or largest) ratio, with the range over the sizes as low and high; None without ratios.

    The unit says "at least" if the true value may be larger. A lower bound above the smallest measured ratio does not
    matter; any lower bound may exceed the largest.
    """
    found = [bound for bound in bounds if bound is not None]
    if not found:
        return None
    chosen = max(found) if largest else min(found)
    values = [bound.value for bound in found]
    open_ended = any(bound.at_least for bound in found) if largest else chosen.at_least
    return Number(chosen.value, "1, at least" if open_ended else "1", min(values), max(values))


def times_faster(results: Results, peer: str, ours: str, which: str, sizes: Sequence[Size]) -> list[Bound | None]:
    """Return how many times longer the peer took, for each size."""
    return [_bound(results.at(peer, size, which), results.at(ours, size, which)) for size in sizes]


def scan_numbers(results: Results, sizes: Sequence[Size], attention_sizes: Sequence[Size]) -> dict[str, Number]:
    """Return all numbers by their name after "scan.cpu." or "scan.gpu.".

    Args:
        results: results of the scan benchmark
        sizes: sizes over which the worst ratio is taken
        attention_sizes: additional sizes, for attention only
    """
    found: dict[str, Number | None] = {}
    for which, prefix in (("fwd_bwd", "fwd_bwd_speedup"), ("forward", "forward_speedup")):
        for peer in (name for name, method in METHODS.items() if method.kind in ("scan", "block")):
            own = "kernel" if METHODS[peer].kind == "scan" else "block"
            if peer != own:
                found[f"{prefix}.{peer}"] = worst(times_faster(results, peer, own, which, sizes))
    every = [*sizes, *attention_sizes]
    both = [times_faster(results, "attention", "kernel", which, every) for which in PASSES]
    found["speed_vs_attention"] = worst(bound for bounds in both for bound in bounds)
    both = [times_faster(results, "mamba_ssm", "kernel", which, sizes) for which in PASSES]
    found["speed_vs_mamba_ssm"] = worst(bound for bounds in both for bound in bounds)
    for which, suffix, memory in (("forward", "", ".forward"), ("fwd_bwd", ".fwd_bwd", "")):
        cells = _ours(results, which, sizes)
        extra = [_over(cell.extra_bytes, input_bytes(cell.size)) for cell in cells]
        found[f"memory_vs_inputs{memory}"] = worst(extra, largest=True)
        if results.rates is not None:
            times = [_over(cell.ms, roofline_ms(cell.size, cell.which, results.rates)) for cell in cells]
            found[f"times_bandwidth_floor{suffix}"] = worst(times, largest=True)
            best = [_over(cell.best_ms, roofline_ms(cell.size, cell.which, results.rates)) for cell in cells]
            found[f"times_bandwidth_floor{suffix}.best"] = worst(best, largest=True)
            for cell, ratio_to_roofline in zip(cells, best, strict=True):
                if ratio_to_roofline is not None:
                    found[f"times_bandwidth_floor{suffix}.best.{cell.size}"] = Number(ratio_to_roofline.value)
    found.update(cell_numbers(results))
    if results.rates is not None:
        found["triad_gb_s"] = Number(results.rates.bytes_per_s / 1e9, "GB/s")
        found["exp_g_s"] = Number(results.rates.exps_per_s / 1e9, "1e9/s")
    return {name: number for name, number in found.items() if number is not None}


def cell_numbers(results: Results) -> dict[str, Number | None]:
    """Return ms.SIZE.PASS.METHOD and mb.SIZE.PASS.METHOD of every cell."""
    found: dict[str, Number | None] = {}
    for cell in results.cells:
        place = f"{cell.size}.{cell.which}.{cell.method}"
        if cell.ms is not None:
            found[f"ms.{place}"] = Number(cell.ms, "ms, at least" if cell.at_least else "ms")
        if cell.extra_bytes is not None:
            found[f"mb.{place}"] = Number(cell.extra_bytes / MEGABYTE, "MB")
    return found


def long_numbers(results: Results, method: str = "kernel") -> dict[str, Number]:
    """Return the growth of one method with L, and every cell, by their names after "scan.cpu.long.".

    `exponent[.forward]` is the slope of log time over log L (least squares; 1 = linear), `memory_vs_inputs[.forward]`
    the largest ratio over the lengths.
    """
    found: dict[str, Number | None] = {}
    for which, suffix in (("fwd_bwd", ""), ("forward", ".forward")):
        cells = [c for c in results.cells if (c.method, c.which, c.status) == (method, which, MEASURED)]
        points = [(float(c.size.L), c.ms) for c in cells if c.ms]
        if len({length for length, _ in points}) > 1:
            found[f"exponent{suffix}"] = Number(exponent(points))
        found[f"memory_vs_inputs{suffix}"] = worst(
            (_over(c.extra_bytes, input_bytes(c.size)) for c in cells), largest=True
        )
    found.update(cell_numbers(results))
    return {name: number for name, number in found.items() if number is not None}


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return p of the curve c x^p that fits points (x, y), by least squares of logarithms."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread


def largest_differences(results: Results) -> Mapping[str, float]:
    """Return every compared method's largest difference from its reference."""
    found: dict[str, float] = {}
    for cell in results.cells:
        if cell.difference is not None:
            found[cell.method] = max(found.get(cell.method, 0.0), cell.difference)
    return found


def _bound(peer: Cell | None, ours: Cell | None) -> Bound | None:
    if peer is None or ours is None:
        return None
    value = ratio(peer, ours)
    return None if value is None else Bound(value, peer.at_least)


def _ours(results: Results, which: str, sizes: Sequence[Size]) -> list[Cell]:
    cells = (results.at("kernel", size, which) for size in sizes)
    return [cell for cell in cells if cell is not None and cell.status == MEASURED]


def _over(value: float | None, unit: float) -> Bound | None:
    return None if value is None else Bound(value / unit, False)
