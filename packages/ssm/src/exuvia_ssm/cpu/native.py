"""The scan on the CPU's vector units: calls the compiled library with torch tensors.

`forward` and `backward` release the interpreter lock and use torch.get_num_threads() threads; results are bitwise equal
for every number of threads.
"""

import ctypes
import functools

import torch
from torch import Tensor

from exuvia_ssm.cpu import build
from exuvia_ssm.errors import ExuviaError, ShapeError
from exuvia_ssm.scan.kernel_arguments import ScanGradients, ScanRows

_SIZES = ("rows", "channels", "states", "groups", "sequences", "softplus", "reverse", "threads")
_INPUTS = ("x", "dt", "A", "B", "C", "skip", "z", "bias", "initial", "offsets", "lengths")  # the tensors of ScanRows
_OUTPUTS = ("y", "final_state", "checkpoints", "grad_y", "grad_final")
_GRADIENTS = ("dx", "ddt", "dA", "dB", "dC", "dskip", "dz", "dbias", "dinitial")  # the fields of ScanGradients


class _Scan(ctypes.Structure):
    """ExuviaScan of problem.h, field by field."""

    _fields_ = [(name, ctypes.c_int64) for name in _SIZES] + [
        (name, ctypes.c_void_p) for name in (*_INPUTS, *_OUTPUTS, *_GRADIENTS)
    ]


class NativeError(ExuviaError):
    """The compiled scan is not available, or ran out of memory."""


@functools.cache
def _state() -> tuple[ctypes.CDLL | None, str | None]:
    """Return the library, or the reason why there is none."""
    try:
        return load(), None
    except build.BuildError as error:
        return None, str(error)
    except OSError as error:
        remedy = "set EXUVIA_CACHE to a folder with free space"
        return None, f"the compiled scan cannot be written or loaded ({error}); {remedy}"


def load(arch: str | None = "native") -> ctypes.CDLL:
    """Return the library of one architecture (see build.library), built if needed. Raises BuildError or OSError."""
    library = ctypes.CDLL(str(build.library(arch)))
    for name in ("exuvia_scan_forward", "exuvia_scan_backward"):
        getattr(library, name).argtypes = [ctypes.POINTER(_Scan)]
    library.exuvia_scan_steps.argtypes = [ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    for name in ("exuvia_scan_steps", "exuvia_scan_lanes", "exuvia_scan_chunk"):
        getattr(library, name).restype = ctypes.c_int64
    return library


def unavailable_reason() -> str | None:
    """Return why the compiled scan cannot be used, as a sentence; None if it can. The first call builds it (seconds,
    once per machine)."""
    return _state()[1]


def steps_between_states() -> int:
    """Return the steps after which `forward` stores a state for `backward`: R // this + S states [D, N] in total."""
    return int(_library().exuvia_scan_chunk())


def forward(
    rows: ScanRows, save: bool, library: ctypes.CDLL | None = None
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Return y [R, D] (0 in rows of no sequence), final states [S, D, N], and the states that `backward` needs.
    `rows` come from scan/arguments.py, which checks them. Raises ShapeError for sequences that overlap or leave the
    rows, NativeError without a library or memory."""
    library = library or _library()
    steps = _steps(rows, library)
    count = rows.lengths.numel()
    allocate = torch.empty if steps == rows.x.shape[0] else torch.zeros
    y = allocate(rows.x.shape)
    if rows.x.numel() == 0 or count == 0:
        return y, torch.zeros(count, *rows.A.shape) if rows.initial is None else rows.initial.clone(), ()
    final = torch.empty(count, *rows.A.shape)
    saved: tuple[Tensor, ...] = (torch.empty(_chunks(rows, library), *rows.A.shape),) if save else ()
    call = _call(rows, y=y, final_state=final, checkpoints=saved[0] if save else None)
    _raise_on(library.exuvia_scan_forward(ctypes.byref(call)))
    return y, final, saved


def backward(
    rows: ScanRows,
    saved: tuple[Tensor, ...],
    grad_y: Tensor,
    grad_final: Tensor | None,
    library: ctypes.CDLL | None = None,
) -> ScanGradients:
    """Return gradients of every tensor of `rows`, bitwise equal for every number of threads. Raises as `forward`."""
    library = library or _library()
    steps = _steps(rows, library)
    count = rows.lengths.numel()
    allocate = torch.empty if steps == rows.x.shape[0] else torch.zeros
    empty = rows.x.numel() == 0 or count == 0
    dx, ddt, dB, dC = (allocate(t.shape) for t in (rows.x, rows.dt, rows.B, rows.C))
    dz = None if rows.z is None else allocate(rows.x.shape)
    dD, bias = (None if t is None else torch.zeros_like(t) for t in (rows.D, rows.dt_bias))
    initial = grad_final.clone() if empty and grad_final is not None else torch.zeros(count, *rows.A.shape)
    grads = ScanGradients(dx, ddt, torch.zeros_like(rows.A), dB, dC, dD, dz, bias, initial)
    if not empty:
        out = {**dict(zip(_GRADIENTS, grads, strict=True)), "checkpoints": saved[0]}
        call = _call(rows, grad_y=grad_y, grad_final=grad_final, **out)
        _raise_on(library.exuvia_scan_backward(ctypes.byref(call)))
    return grads._replace(initial=None) if rows.initial is None else grads


def _library() -> ctypes.CDLL:
    library, reason = _state()
    if library is None:
        raise NativeError(f"{reason}; or choose another backend")
    return library


def _call(rows: ScanRows, **others: Tensor | None) -> _Scan:
    inputs = dict(zip(_INPUTS, rows[:11], strict=True))
    pointers = {name: None if t is None else t.data_ptr() for name, t in {**inputs, **others}.items()}
    sizes = (rows.x.shape[0], *rows.A.shape, rows.B.shape[1], rows.lengths.numel())
    flags = (int(rows.softplus), int(rows.reverse), max(torch.get_num_threads(), 1))
    return _Scan(*sizes, *flags, **pointers)


def _raise_on(status: int) -> None:
    if status:
        raise NativeError("the scan ran out of memory; use a smaller batch or fewer threads")


def _chunks(rows: ScanRows, library: ctypes.CDLL) -> int:
    """Return an upper bound of the number of chunks, from sizes only, so that it can be traced."""
    return rows.x.shape[0] // int(library.exuvia_scan_chunk()) + rows.lengths.numel()


def _steps(rows: ScanRows, library: ctypes.CDLL) -> int:
    """Return the total steps of all sequences. Raises ShapeError if they overlap or leave the rows."""
    bounds = (rows.lengths.numel(), rows.offsets.data_ptr(), rows.lengths.data_ptr())
    steps = int(library.exuvia_scan_steps(*bounds, rows.x.shape[0]))
    if steps < 0:
        raise ShapeError(f"sequences overlap or leave the {rows.x.shape[0]} rows; expected ascending offsets")
    return steps
