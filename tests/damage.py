"""Files made by hand, byte for byte, and what must become of damaged ones."""

import io
import json
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from exuvia.errors import ExuviaError

JOINTS = np.random.default_rng(0).normal(size=(3, 22, 3))
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def header(text: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


def npz(compressed: bool = False, **arrays: Any) -> bytes:
    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(out, **arrays)
    return out.getvalue()


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def archive(how: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as made:
        for name, content in members.items():
            made.writestr(name.replace("_npy", ".npy"), content)
    return out.getvalue()


def damaged_stream() -> bytes:
    content = bytearray(npz(compressed=True, joints=JOINTS))
    content[60:70] = b"\xff" * 10
    return bytes(content)


def refused(read: Callable[..., object], *given: object, kind: type[ExuviaError] = ExuviaError) -> str:
    with pytest.raises(kind) as caught:
        read(*given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def bvh(joints: int, frames: int) -> str:
    bones = ["ROOT j0 {", "OFFSET 0 0 0 CHANNELS 1 Xrotation"]
    bones += [f"JOINT j{n} {{ OFFSET 0 1 0 CHANNELS 0" for n in range(1, joints)]
    text = "HIERARCHY\n" + "\n".join(bones) + "\n" + "}" * joints
    return f"{text}\nMOTION\nFrames: {frames}\nFrame Time: 0.05\n" + "0\n" * frames


def deepmimic(frames: int, seconds: float) -> str:
    frame = [seconds, 0, 0.9, 0] + [1, 0, 0, 0] * 3 + [1, 0, 0, 0, 0] * 0 + [0.1] * 28
    return json.dumps({"Frames": [frame] * frames})


def value_or_sentence(read: Callable[[], object]) -> str:
    told = ""
    try:
        read()
    except ExuviaError as error:
        told = str(error)
    assert "\n" not in told
    return told
