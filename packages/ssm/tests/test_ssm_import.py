"""What importing the layers costs and needs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import exuvia_ssm

SOURCE = Path(exuvia_ssm.__file__).parent


def test_the_compiler_of_pytorch_is_not_loaded() -> None:
    """It takes a second, which nobody waits for who does not compile."""
    code = (
        "import sys, torch; before = set(sys.modules)\n"
        f"from exuvia_ssm import {', '.join(exuvia_ssm.__all__)}\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] if not name.startswith("torch.") else name for name in done.stdout.split()}
    assert "exuvia_ssm" in loaded
    assert not loaded & {"torch._dynamo", "torch._inductor", "sympy", "triton", "scipy", "exuvia", "lab"}


def test_the_package_itself_needs_no_pytorch() -> None:
    code = "import sys, exuvia_ssm; print(exuvia_ssm.__version__); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_only_pytorch_and_numpy_are_imported() -> None:
    """Triton, which PyTorch brings along for GPUs, only by the kernels for GPUs."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in (name.partition(".")[0] for name in names):
                allowed = {"exuvia_ssm", "torch", "numpy", *(("triton",) if path.parent.name == "gpu" else ())}
                assert name in allowed or name in sys.stdlib_module_names, f"{path}: {name}"


def test_every_public_name_is_there() -> None:
    assert all(callable(getattr(exuvia_ssm, name)) for name in exuvia_ssm.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Memba'"):
        exuvia_ssm.Memba  # noqa: B018
