"""The layers of exuvia-ssm against the official implementations, and the memory of the compiled scan."""

from pathlib import Path

import pytest

from exuvia_ssm import S4D
from exuvia_ssm.cpu import native
from lab.child import Child, Job
from lab.parity.case import Case
from lab.parity.compare import compare
from lab.parity.mamba import mamba_block
from lab.parity.run import check_case
from lab.parity.s4d import s4d
from lab.parity.scan import selective_scan_case
from lab.roofline import Size, input_bytes

needs_compiler = pytest.mark.skipif(native.unavailable_reason() is not None, reason=str(native.unavailable_reason()))


@pytest.mark.parametrize("name", ["09_mamba_block", "09_mamba_block_biases"])
def test_mamba(goldens: Path, name: str) -> None:
    case = Case.load(goldens / f"{name}.json")
    ours = mamba_block(case)
    assert {name for name in case.tensors if name.startswith(("out.", "mid."))} == set(ours)
    for key, value in ours.items():
        result = compare(key, value, case.tensors[key], case.tolerance(key))
        assert result.passed, result


@pytest.mark.parametrize("method", ["fft", "chunked"])
def test_s4d(goldens: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case.load(goldens / "09_s4d.json")
    monkeypatch.setattr("lab.parity.s4d.S4D", lambda *args, **options: S4D(*args, **options, method=method))
    ours = s4d(case)
    assert {name for name in case.tensors if name.startswith("out.")} == set(ours)
    for name, value in ours.items():
        result = compare(name, value, case.tensors[name], case.tolerance(name))
        assert result.passed, result


@pytest.mark.parametrize("backend", ["reference", "chunked", pytest.param("cpu", marks=needs_compiler)])
def test_the_published_scan_is_reproduced(goldens: Path, backend: str) -> None:
    case = Case.load(goldens / "09_selective_scan.json")
    assert check_case(case, lambda c: selective_scan_case(c, backend)).passed


@needs_compiler
@pytest.mark.parametrize("size", [Size(4, 1024, 256, 16), Size(1, 16384, 128, 16)], ids=str)
def test_a_training_step_takes_less_than_twice_its_inputs(size: Size) -> None:
    """Largest resident size during one forward and backward, in its own process, scratch and gradients included."""
    with Child(Job("lab.methods:METHODS", "kernel", size), for_memory=True) as child:
        extra = child.peak_extra_bytes("fwd_bwd", 60.0)
    if extra is None:
        pytest.skip("this system does not tell the largest resident size")
    outputs = 3 * 4 * size.B * size.L * size.D  # y, dx, ddt: less would mean that nothing was measured
    assert outputs < extra <= 2 * input_bytes(size), f"{extra / input_bytes(size):.2f} of the inputs"
