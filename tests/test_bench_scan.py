"""Scan benchmark: rooflines by hand, filtered timings, methods stopped at their limit, files, tables, ledger rows."""

import json
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from exuvia.errors import ConfigError, DataError
from exuvia_ssm.cpu import native
from lab.cell_text import text_table
from lab.cells import FAILED, LIMIT, MEASURED, SKIPPED, Cell, Protocol, measure_cells, ratio
from lab.experiments.scan import ScanBench, bench_scan
from lab.layers import LAYERS, layer_numbers
from lab.ledger.numbers import Origin, read_rows
from lab.ledger.quotes import Quotes
from lab.ledger.tables import scan_table
from lab.memory import peak_extra_bytes
from lab.methods import METHODS
from lab.results import Results, read_results, write_results
from lab.roofline import PASSES, Rates, Size, compiled_rates, exponentials, input_bytes, minimal_bytes, roofline_ms
from lab.scan_numbers import exponent, long_numbers, scan_numbers
from lab.timing import Burst, burst, summary
from lab.workload import Work, difference

SMALL, LARGE = Size(1, 64, 8, 4), Size(2, 128, 16, 4)
TINY_SCAN = Size(2, 12, 16, 4)
ORIGIN = Origin("python -m lab scan", "abc", "a box", "2026-01-02")


def cell(method: str, size: Size, which: str, ms: float, **more: object) -> Cell:
    """A measured cell, undisturbed unless `more` says otherwise."""
    settings = {"status": MEASURED, "best_ms": ms, "median_ms": ms, "bursts": 3, "clean": 3, "calls": 9}
    return Cell(method, size, which, **{**settings, **more})  # type: ignore[arg-type]


@pytest.fixture
def results() -> Results:
    """Two sizes; the kernel takes 1 ms forward and 2 ms both, peers longer; one is ended at 100 ms, one not there."""
    cells = []
    for size, peer in ((SMALL, 30.0), (LARGE, 80.0)):
        cells.append(cell("kernel", size, "forward", 1.0, extra_bytes=1000))
        cells.append(cell("kernel", size, "fwd_bwd", 2.0, extra_bytes=9000))
        cells += [cell("loop", size, "forward", peer), cell("attention", size, "forward", 3.0)]
        cells += [Cell("mambapy", size, which, SKIPPED, "mambapy is not here") for which in PASSES]
    cells += [cell("loop", SMALL, "fwd_bwd", 60.0), cell("loop", LARGE, "fwd_bwd", 100.0, status=LIMIT, median_ms=None)]
    return Results(ORIGIN, Protocol(), cells, Rates(1e9, 1e9, "by hand"), {"torch": "2"})


def test_rooflines_by_hand() -> None:
    # x, dt, y: 3 x 2 x 64 x 8 = 3072 numbers; B, C: 2 x 2 x 64 x 4 = 1024
    size = Size(2, 64, 8, 4)
    assert minimal_bytes(size, "forward") == 4 * (3072 + 1024)
    # 8 wide tensors of 1024, 6 narrow of 512, and 2 states of 2 x 8 x 4 written and read
    assert minimal_bytes(size, "fwd_bwd") == 4 * (8 * 1024 + 6 * 512 + 2 * 2 * 64)
    assert exponentials(size, "forward") == 2 * 64 * 8 * 4
    assert exponentials(size, "fwd_bwd") == 2 * exponentials(size, "forward")
    assert input_bytes(size) == 4 * (2 * 1024 + 2 * 512 + 32 + 16)
    moving, computing = Rates(1e6, 1e12, ""), Rates(1e12, 1e6, "")
    assert roofline_ms(size, "forward", moving) == pytest.approx(16.384)
    assert roofline_ms(size, "forward", computing) == pytest.approx(4.096)


@pytest.mark.skipif(native.unavailable_reason() is not None, reason="needs a C++ compiler")
def test_the_compiled_loops_have_positive_rates() -> None:
    rates = compiled_rates(1)
    assert 1e8 < rates.bytes_per_s < 1e13
    assert 1e6 < rates.exps_per_s < 1e12


def test_roofline_of_a_known_size() -> None:
    """27 MB and 33.5 million exponentials at (8, 2048, 128, 16): 1.97 ms at 17e9 a second."""
    size = Size(8, 2048, 128, 16)
    assert minimal_bytes(size, "forward") == pytest.approx(27e6, rel=0.01)
    assert minimal_bytes(size, "fwd_bwd") == 4 * (9 * 8 * 2048 * 128 + 6 * 8 * 2048 * 16)
    assert roofline_ms(size, "forward", Rates(37.5e9, 17e9, "")) == pytest.approx(1.97, abs=0.01)


def test_sizes_are_parsed_or_refused() -> None:
    assert Size.parse("8x2048x128x16") == Size(8, 2048, 128, 16)
    assert str(Size.parse("1x2x3x4")) == "1x2x3x4"
    for wrong in ("8x2048x128", "8x2048x128x0", "axbxcxd", "8x-1x2x3", ""):
        with pytest.raises(ConfigError, match="batch x steps"):
            Size.parse(wrong)


def test_disturbed_bursts_are_dropped() -> None:
    quiet = [Burst((1.0, 1.2, 1.1), 0.05)] * 3
    loud = [Burst((5.0, 0.9), 0.9)] * 4
    times = summary([Burst((9.0,), 0.0), *quiet, *loud])
    assert (times.median, times.best, times.bursts, times.clean) == (1.1, 0.9, 7, 3)
    assert summary([Burst((9.0,), 0.0), *quiet[:2], *loud]).median is None, "two of six are too few"
    assert summary([Burst((7.0,), 0.0)]).median == 7.0, "a single burst counts"


def test_a_burst_calls_at_least_once_and_fills_its_time() -> None:
    assert len(burst(lambda: time.sleep(0.03), 0.0).seconds) == 1
    found = burst(lambda: time.sleep(0.002), 0.02)
    assert 1 < len(found.seconds) <= 10
    assert min(found.seconds) >= 0.002
    waits: list[int] = []
    grouped = burst(lambda: None, 0.01, finish=lambda: waits.append(1))
    assert len(grouped.seconds) > len(waits), "short calls share a wait"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system does not count peaks")
def test_peak_memory_sees_what_is_freed_again() -> None:
    megabytes = 64
    found = peak_extra_bytes(lambda: torch.zeros(megabytes << 18).sum())
    if found is None:
        pytest.skip("/proc/self/clear_refs cannot be written here")
    assert found == pytest.approx(megabytes << 20, rel=0.2)


def test_ratios_compare_like_with_like() -> None:
    quick, slow = cell("kernel", SMALL, "forward", 2.0), cell("loop", SMALL, "forward", 30.0, best_ms=24.0)
    assert ratio(slow, quick) == 15.0
    disturbed = cell("kernel", SMALL, "forward", 2.0, median_ms=None)
    assert ratio(slow, disturbed) == 12.0, "best by best where one has no median"
    assert ratio(slow, cell("kernel", SMALL, "forward", 2.0, status=LIMIT)) is None


_TABLE = """
import time
import torch
from lab.workload import Method, Work
from exuvia.errors import ConfigError

def quick(size, device):
    x = torch.ones(size.B, size.L, size.D, requires_grad=True)
    return Work(lambda: 2 * x, (x,), {"parameters": 0.0}, lambda: Work(lambda: x + x, (x,)))

class Slow(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.wait = x.shape[1] == 64
        return x.clone()
    @staticmethod
    def backward(ctx, g):
        time.sleep(600 * ctx.wait)
        return g

def slow_backward(size, device):
    x = torch.ones(size.B, size.L, size.D, requires_grad=True)
    return Work(lambda: Slow.apply(x), (x,))

def absent(size, device):
    raise ConfigError("nothing of that name is installed")

TABLE = {name: Method(name, "layer", build) for name, build in
         {"quick": quick, "slow": slow_backward, "absent": absent}.items()}
"""


def test_methods_take_turns_and_a_slow_one_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_up_methods.py").write_text(_TABLE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    protocol = Protocol(threads=1, rounds=1, seconds=0.01, limit=1.0, memory=False)
    found = measure_cells("made_up_methods:TABLE", ("quick", "slow", "absent"), SMALL, protocol)
    by_place = {(c.method, c.which): c for c in found}
    assert [c.status for c in found] == [MEASURED, MEASURED, MEASURED, LIMIT, SKIPPED, SKIPPED]
    assert by_place["quick", "fwd_bwd"].calls >= 1
    assert by_place["quick", "forward"].difference == 0.0
    assert by_place["quick", "forward"].facts == {"parameters": 0.0}
    ended = by_place["slow", "fwd_bwd"]
    assert (ended.ms, ended.at_least) == (1000.0, True)
    assert by_place["absent", "forward"].reason == "nothing of that name is installed"
    assert ratio(ended, by_place["quick", "fwd_bwd"]) > 1


def test_results_come_back_from_their_file(results: Results, tmp_path: Path) -> None:
    written, table = write_results(results, tmp_path, "scan")
    assert read_results(written) == results
    rows = table.read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + len(results.cells)
    assert rows[0].startswith("B,L,D,N,method,which,status")
    (tmp_path / "other.json").write_text('{"cells": 3}', encoding="utf-8")
    with pytest.raises(DataError, match="does not hold results"):
        read_results(tmp_path / "other.json")


def test_the_worst_size_counts_and_a_limit_is_a_bound(results: Results) -> None:
    numbers = scan_numbers(results, [SMALL, LARGE], [])
    assert numbers["forward_speedup.loop"][:1] == (30.0,)
    assert numbers["fwd_bwd_speedup.loop"] == (30.0, "1", 30.0, 50.0), "the bound at the other size is higher"
    assert scan_numbers(results, [LARGE], [])["fwd_bwd_speedup.loop"].unit == "1, at least"
    assert numbers["speed_vs_attention"].value == 3.0
    assert numbers["memory_vs_inputs"].value == pytest.approx(9000 / input_bytes(SMALL))
    assert numbers["times_bandwidth_floor"].value == pytest.approx(1.0 / roofline_ms(SMALL, "forward", results.rates))
    assert not [name for name in numbers if "mambapy" in name], "what was not measured has no row"


def test_growth_with_length() -> None:
    assert exponent([(1.0, 3.0), (10.0, 300.0), (100.0, 30000.0)]) == pytest.approx(2.0)
    cells = [cell("kernel", Size(1, n, 8, 4), "forward", n / 100, extra_bytes=8 * n) for n in (100, 400, 1600)]
    numbers = long_numbers(Results(ORIGIN, Protocol(), cells))
    assert numbers["exponent.forward"].value == pytest.approx(1.0)
    assert "exponent" not in numbers


def test_the_table_says_why_a_method_is_missing(results: Results) -> None:
    titles = {name: method.title for name, method in METHODS.items()}
    lines = text_table(results, titles)
    assert "mambapy pscan: skipped, mambapy is not here" in lines
    text = "\n".join(lines)
    assert "> 100" in text
    assert text.count("exuvia kernel") == 2
    failed = Cell("chunked", SMALL, "forward", FAILED, "RuntimeError: no memory")
    broken = Results(ORIGIN, Protocol(), [failed])
    assert "failed, RuntimeError: no memory" in "\n".join(text_table(broken, titles))


def test_rows_of_an_earlier_run_say_how_it_was_made(results: Results, tmp_path: Path) -> None:
    stored, _ = write_results(results, tmp_path / "runs", "scan")
    ledger = tmp_path / "numbers.jsonl"
    bench_scan(ScanBench(out=tmp_path / "runs", results=stored, record=ledger))
    rows = {row["name"]: row for row in read_rows(ledger)[0]}
    assert rows["scan.cpu.fwd_bwd_speedup.loop"]["value"] == 30.0
    assert rows["scan.cpu.ms.2x128x16x4.fwd_bwd.loop"]["unit"] == "ms, at least"
    assert {(row["command"], row["commit"], row["machine"], row["date"]) for row in rows.values()} == {
        ("python -m lab scan", "abc", "a box", "2026-01-02")
    }
    quotes = Quotes(rows.values())
    table = scan_table(quotes, "scan.cpu", f"{SMALL} {LARGE}", {"kernel": "ours", "loop": "a loop"})
    assert "> 100" in table
    assert not quotes.problems
    assert json.loads(stored.read_text(encoding="utf-8"))["notes"] == {"torch": "2"}


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="mambapy"):
        bench_scan(ScanBench(methods=("mambapi",)))


@pytest.mark.parametrize("name", ["chunked", "reference", "loop", "kernel"])
def test_methods_compute_the_same(name: str) -> None:
    try:
        work = METHODS[name].build(TINY_SCAN, "cpu")
    except ConfigError as error:
        pytest.skip(str(error))
    assert work.expected is not None
    assert difference(work, work.expected()) < 1e-5


@pytest.mark.parametrize("name", ["mambapy", "mamba_ssm", "transformers"])
def test_a_peer_agrees_or_says_what_to_install(name: str) -> None:
    size = Size(2, 16, 64, 4)
    if name == "mamba_ssm" or find_spec(name) is None:
        with pytest.raises(ConfigError, match=r"pip install|CUDA only"):
            METHODS[name].build(size, "cpu")
        return
    work = METHODS[name].build(size, "cpu")
    assert work.expected is not None
    assert difference(work, work.expected()) < 1e-4


def test_attention_needs_whole_heads() -> None:
    work = METHODS["attention"].build(Size(2, 16, 128, 4), "cpu")
    assert work.forward().shape == (2, 2, 16, 64)
    with pytest.raises(ConfigError, match="width of a head"):
        METHODS["attention"].build(Size(2, 16, 100, 4), "cpu")


@pytest.mark.parametrize("name", list(LAYERS))
def test_layers_are_built_at_their_width(name: str) -> None:
    size = Size(2, 24, 48, 4)
    work = LAYERS[name].build(size, "cpu")
    assert work.forward().shape == (2, 24, 48)
    assert work.facts["parameters"] > 48 * 48
    if name.startswith("serpent"):
        rates = 0.25 if "quarter" in name else 1.0
        assert rates * 0.9 <= work.facts["kept"] <= 3


def test_costs_of_layers_are_the_largest_over_sizes() -> None:
    cells = []
    for size, ms in ((SMALL, 5.0), (LARGE, 6.0)):
        cells.append(cell("mamba", size, "fwd_bwd", 4.0, facts={"parameters": 100.0}))
        cells.append(cell("serpent", size, "fwd_bwd", ms, facts={"parameters": 90.0}))
    numbers = layer_numbers(Results(ORIGIN, Protocol(), cells))
    assert numbers["cost_vs_mamba"] == (1.5, "1", 1.25, 1.5)
    assert numbers["parameters.cost_vs_mamba"].value == 0.9
    assert "single_quarter_vs_mamba" not in numbers


def test_work_of_a_module_has_all_gradients() -> None:
    layer = nn.Linear(3, 3)
    x = torch.ones(2, 3, requires_grad=True)
    work = Work(lambda: layer(x), (x, *layer.parameters()))
    assert difference(work, work) == 0.0
