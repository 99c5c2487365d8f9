"""Reading an uploaded motion in a process of its own, whose memory and time are limited: the server outlives any file.

    python -m exuvia.studio.reading FILE OUT FRAMES BYTES SECONDS

writes OUT, an .npz with `joints` [F, 22, 3] in metres at 20 frames a second, or `refusal`, a sentence. It imports no
PyTorch.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from exuvia.errors import DataError, ExuviaError
from exuvia.motion.clip import Clip
from exuvia.motion.load import load_clip
from exuvia.readers import read_npz
from exuvia.studio.settings import Limits

FPS = 20.0
KILLED = 9
"""Exit code of a process that met a limit."""
START_S = 40.0
"""More, for a process that waits for its turn on a machine that has much to do."""


class TooMuch(DataError):
    """Reading a file took more memory or time than there is for it."""


def read_upload(data: bytes, suffix: str, limits: Limits) -> Clip:
    """An uploaded file as a clip at 20 frames a second.

    Raises:
        DataError: it is no motion, or one of too many frames.
        TooMuch: it takes more memory or time to read than the limits allow.
    """
    numbers = [str(limits.frames), str(limits.read_bytes), str(limits.read_s)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder, f"upload{suffix}"), Path(folder, "read.npz")
        file.write_bytes(data)
        command = [sys.executable, "-m", "exuvia.studio.reading", str(file), str(out), *numbers]
        try:
            wait = limits.read_s + START_S
            code = subprocess.run(command, env=os.environ | threads, stdin=subprocess.DEVNULL, timeout=wait).returncode
        except subprocess.TimeoutExpired:  # it was killed
            code = KILLED
        if code == 1:  # its traceback stands in the studio's log
            raise DataError(f"this is no {suffix} file that can be read; write it anew with the program that made it")
        if code != 0:
            at_most = f"{limits.read_bytes // 1_000_000} MB and {limits.read_s:g} s"
            raise TooMuch(f"this file takes more than {at_most} to read; cut the motion into shorter ones")
        found = read_npz(out, optional=("joints", "refusal"))
    if "refusal" in found:
        raise DataError(str(found["refusal"]))
    return Clip(found["joints"], fps=FPS)


def _read(file: Path, frames: int) -> Clip:
    clip = load_clip(file, FPS)
    if clip.frames > frames:
        raise DataError(f"found {clip.frames} frames, expected at most {frames}")
    return clip


def main(file: str, out: str, frames: str, size: str, seconds: str) -> None:
    """Read a file within limits; one that breaks them ends this process before it writes anything."""
    with contextlib.suppress(ImportError):  # Windows has no such limits, only the parent's clock
        import resource

        wanted = {resource.RLIMIT_AS: int(size), resource.RLIMIT_CPU: int(float(seconds)) + 1, resource.RLIMIT_CORE: 0}
        for kind, limit in wanted.items():
            hard = resource.getrlimit(kind)[1]  # cannot be raised
            limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(kind, (limit, limit))
    try:
        found: dict[str, Any] = {"joints": _read(Path(file), int(frames)).joints}
    except MemoryError:
        sys.exit(KILLED)
    except ExuviaError as error:
        found = {"refusal": np.array(str(error))}
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
