"""Damages files: flipped bits and cuts for any file, and structural changes of JSON, archives, arrays and pickles.

Every change is a function of the given bytes and random numbers, so an input can be reproduced from its number.
"""

import functools
import io
import json
import os
import pickle
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

Mutator = Callable[[bytes, random.Random], bytes]
LARGEST = 2_000_000
"""Maximum bytes of an input; longer ones are truncated."""
NUMBERS = (
    "0", "-1", "1", "2", "1e-7", "-0.0", "nan", "NaN", "inf", "-Infinity", "1e400", "1e308", "1e-320", "255", "65536",
    "2147483648", "-2147483649", "4294967296", "9223372036854775808", "1000000000000", "9" * 5000, "0x10", "²", "٣",
)  # fmt: skip
TEXTS = (
    "",
    " ",
    "\0",
    "a" * 5000,
    "ü",
    "\ud800",
    "../../x",
    "null",
    "#",
    "\r",
    "\u2028",
    "{",
    "[",
    '"',
    "\x1a",
    "=1+1",
    "%s",
)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 0.5, -0.0, 1e308, 10**12, -(10**12), 2**63, 2**64, float("nan"), float("inf"),
    "", "a", "1", "é\ud800", [], [None], [[]], [0] * 40, ["a"], {}, {"a": 1}, {"": {}}, [1, "a", None], "x" * 3000,
)  # fmt: skip
DEEP = ("[" * 3000, '{"a":' * 3000, "9" * 5000, "[" * 3000 + "]" * 3000, '"' + "\\u" * 50, "-" * 100, "1e99999")
SHAPES = ("()", "(0,)", "(-1,)", "(1000000000000,)", "(1000000,1000000,3)", "(3,22,3)", "(9223372036854775807,)",
          "(2,22,3", "None", "(1.5,)", "('a',)", "(0,22,3)", "[3,22,3]", "(" + "1," * 70 + ")")  # fmt: skip
KINDS = ("'|O'", "'<f4'", "'>f8'", "'<U3'", "'|S5'", "'<c16'", "'<M8[s]'", "'|V8'", "[('a','<f4',(9,))]", "None",
         "'<f99'", "''", "'|b1'", "'<i8'", "[('a','|O')]", "'<f4,<f4'", "('<f4',(1000000,))", "5")  # fmt: skip


def mutate(data: bytes, kind: str, rng: random.Random, other: bytes = b"") -> bytes:
    """A damaged copy.

    Args:
        data: a valid file
        kind: its structure, a key of `STRUCTURE`; other kinds are damaged as bytes
        other: another file of the kind, as a source of pieces
    """
    own = STRUCTURE.get(kind)
    for _ in range(rng.choice((1, 1, 1, 2, 2, 4))):
        if own is not None and rng.random() < 0.65:
            data = own(data, rng)
        elif kind in ("json", "jsonl", "text", "toml") and rng.random() < 0.6:
            data = _words(data, rng)
        else:
            data = _bytes(data, rng, other)
    return data[:LARGEST]


def _bytes(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
    """Bits, bytes, cuts, copies and pieces of another file."""
    size = len(data)
    at, reach = rng.randrange(size + 1), min(size, rng.choice((1, 2, 4, 8, 64, 1000)))
    choice = rng.randrange(8)
    if choice == 0 and size:
        spoilt = bytearray(data)
        for _ in range(rng.choice((1, 1, 4, 30))):
            spoilt[rng.randrange(size)] ^= 1 << rng.randrange(8)
        return bytes(spoilt)
    if choice == 1:
        return data[:at]
    if choice == 2:
        return data[:at] + data[at + reach :]
    if choice == 3:
        return data[:at] + data[at : at + reach] * rng.choice((2, 3, 50)) + data[at + reach :]
    if choice == 4:
        return data[:at] + rng.randbytes(reach) + data[at + reach :]
    if choice == 5:
        number = rng.choice((0, 1, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 64) - 1))
        return data[:at] + number.to_bytes(8, "little")[: rng.choice((1, 2, 4, 8))] + data[at + reach :]
    if choice == 6 and other:
        start = rng.randrange(len(other))
        return data[:at] + other[start : start + rng.choice((4, 64, 2000))] + data[at + reach :]
    return rng.choice((b"", b"\xff", b"\0" * 200, data + data, data[::-1], b"\xef\xbb\xbf" + data))


_NUMBER = re.compile(rb"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(rb"[A-Za-z_]+")


def _words(data: bytes, rng: random.Random) -> bytes:
    """A number, a word or a line of a text in another form."""
    at = rng.randrange(len(data) + 1)
    choice = rng.randrange(6)
    if choice < 3:
        found = (_NUMBER if choice < 2 else _WORD).search(data, at)
        if found is None:
            return data + rng.choice(TEXTS).encode("utf-8", "surrogatepass")
        new = rng.choice(NUMBERS if choice < 2 or rng.random() < 0.3 else TEXTS)
        return data[: found.start()] + new.encode("utf-8", "surrogatepass") + data[found.end() :]
    start, end = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at) + 1 or len(data)
    line = data[start:end]
    if choice == 3:
        return data[:start] + line * rng.choice((0, 2, 2, 40)) + data[end:]
    if choice == 4:
        words = line.split(b" ")
        rng.shuffle(words)
        return data[:start] + b" ".join(words) + data[end:]
    return (
        data[:start] + line.replace(rng.choice((b" ", b"=", b"#", b"{", b"}", b",", b'"', b"\t")), b"", 1) + data[end:]
    )


def _json(data: bytes, rng: random.Random) -> bytes:
    """Another value, key or depth somewhere in the tree."""
    try:
        tree = _parsed(data)
    except (ValueError, RecursionError):
        return _words(data, rng)
    if rng.random() < 0.03:
        return rng.choice(DEEP).encode()
    mark = "@@deep@@" if rng.random() < 0.06 else None
    try:
        text = json.dumps(_changed(tree, rng, mark), ensure_ascii=rng.random() < 0.5)
    except RecursionError:
        return _words(data, rng)
    if mark is not None:
        text = text.replace(f'"{mark}"', rng.choice(DEEP))
    return text.encode("utf-8", "surrogatepass")


@functools.lru_cache(64)
def _parsed(data: bytes) -> Any:
    return json.loads(data)


def _changed(tree: Any, rng: random.Random, mark: str | None) -> Any:
    if not isinstance(tree, dict | list) or not tree or rng.random() < 0.12:
        return mark or rng.choice((*VALUES, tree, [tree], {"a": tree}))
    if isinstance(tree, list):
        row = rng.randrange(len(tree))
        if rng.random() < 0.2:
            return rng.choice((tree[:row] + tree[row + 1 :], [*tree, tree[row]], tree * 2, tree[:row], {"0": tree}))
        return [*tree[:row], _changed(tree[row], rng, mark), *tree[row + 1 :]]
    key = rng.choice(list(tree))
    rest = {name: value for name, value in tree.items() if name != key}
    if rng.random() < 0.2:
        return rng.choice((rest, rest | {rng.choice(TEXTS): tree[key]}, tree | {"zzz": tree[key]}, list(tree.items())))
    return tree | {key: _changed(tree[key], rng, mark)}


def _jsonl(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    row = rng.randrange(len(lines))
    return b"\n".join([*lines[:row], _json(lines[row], rng), *lines[row + 1 :]])


def _toml(data: bytes, rng: random.Random) -> bytes:
    """Another value behind one of the equal signs, or a table twice."""
    places = [found.end() for found in re.finditer(rb"=\s*", data)]
    if not places or rng.random() < 0.2:
        return data + rng.choice(
            (b"\na=" + b"[" * 3000, b"\nversion = 2\n", b"\n[[prompts]]\n", b"\n[prompts]\n", b"\nx.y.z=1\n")
        )
    at, value = rng.choice(places), json.dumps(rng.choice(VALUES))
    end = min((place for place in (data.find(b",", at), data.find(b"\n", at)) if place >= 0), default=len(data))
    new = rng.choice((value, "9" * 5000, "[" * 3000, "1979-05-27", "nan", "-inf", "0x1f", "{a=1}", "'''x'''", "1e400"))
    return data[:at] + new.encode() + data[end:]


def header(shape: str, kind: str, order: str = "False") -> bytes:
    """The head of an .npy file with these words."""
    words = f"{{'descr': {kind}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(words) & 0xFFFF) + words


def _npy(data: bytes, rng: random.Random) -> bytes:
    """Another head before the same values, or other values, or pickled objects."""
    if data[:6] != b"\x93NUMPY" or len(data) < 10:
        return _bytes(data, rng)
    end = 10 + int.from_bytes(data[8:10], "little")
    words, body, choice = data[10:end].decode("latin-1"), data[end:], rng.randrange(7)
    shape, kind = re.search(r"'shape': (\(.*?\))", words), re.search(r"'descr': ('.*?')", words)
    own = (shape[1] if shape else "()"), (kind[1] if kind else "'<f4'")
    if choice == 0:
        return header(rng.choice(SHAPES), own[1], rng.choice(("False", "True", "1", "None"))) + body
    if choice == 1:
        return header(own[0], rng.choice(KINDS)) + body
    if choice == 2:
        return header(own[0], "'|O'") + harmful()
    if choice == 3:
        return data[:8] + _words(data[8:end], rng) + body
    if choice == 4:
        return header(own[0] + rng.choice((", 'x': 1", ",", "}", "\n", " if 1 else 2")), own[1]) + body
    if choice == 5 and len(body) >= 8:
        at = rng.randrange(len(body) // 4) * 4
        bad = struct.pack("<f", rng.choice((float("nan"), float("inf"), 1e38, -1e38, 1e-40, 1e6)))
        return data[:end] + body[:at] + bad * rng.choice((1, 1, 2, 40)) + body[at + 4 :]
    return data[:6] + bytes((rng.randrange(5), rng.randrange(3))) + data[8:]


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def _zip(data: bytes, rng: random.Random) -> bytes:
    """A member damaged, missing, double, with another name or packing; a bomb; heads that do not say what is there."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(one.filename, archive.read(one)) for one in archive.infolist()]
    except Exception:  # the archive was damaged before, and zipfile raises whatever that leads to
        return _bytes(data, rng)
    if not members:
        return _bytes(data, rng)
    row, choice = rng.randrange(len(members)), rng.randrange(10)
    name, content = members[row]
    method = METHODS[0] if rng.random() < 0.7 else rng.choice(METHODS)
    if choice < 4:
        members[row] = (name, mutate(content, _kind_of(name), rng))
    elif choice == 4:
        members[row] = (name, rng.choice((b"", b"text", harmful(), content[:40])))
    elif choice == 5:
        members[row] = (
            rng.choice((f"../{name}", "/etc/x.npy", name.removesuffix(".npy"), name.upper(), "a/" * 200, "")),
            content,
        )
    elif choice == 6:
        members.append((name, mutate(content, _kind_of(name), rng)))
    elif choice == 7:
        del members[row]
    elif choice == 8 and rng.random() < 0.05:
        members[row], method = (name, header("(1500000,22,3)", "'|i1'") + bytes(99_000_000)), METHODS[1]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in members:
            archive.writestr(name.replace("\0", "") or "x", content)
    made = out.getvalue()
    return _central(made, rng) if rng.random() < 0.25 else made


def _central(data: bytes, rng: random.Random) -> bytes:
    """Sizes, checksums, methods and flags of an archive's heads that are not true."""
    at = data.rfind(b"PK\x01\x02") if rng.random() < 0.7 else data.find(b"PK\x03\x04")
    return (
        data
        if at < 0
        else data[: (spot := at + rng.randrange(6, 46))] + rng.randbytes(rng.choice((1, 2, 4))) + data[spot + 4 :]
    )


def _kind_of(name: str) -> str:
    return {"npy": "npy", "pkl": "pickle"}.get(name.rpartition(".")[2], "bytes")


def _safetensors(data: bytes, rng: random.Random) -> bytes:
    """The table of tensors, its length, or the values."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data):
        return _bytes(data, rng)
    choice = rng.randrange(6)
    if choice == 0:
        length = rng.choice((0, 1, size - 1, size + 1, 1 << 40, (1 << 64) - 1))
        return (length % (1 << 64)).to_bytes(8, "little") + data[8:]
    if choice == 1:
        at = 8 + size + rng.randrange(max(1, len(data) - 8 - size))
        return data[:at] + struct.pack("<f", rng.choice((float("nan"), float("inf"), -1e38))) + data[at + 4 :]
    if choice == 2:
        kinds = (b'"F32"', b'"F16"', b'"I64"', b'"BOOL"', b'"F8_E4M3"', b'"C64"', b'"U8"')
        words = data[8 : 8 + size].replace(rng.choice(kinds), rng.choice(kinds), 1)
    else:
        words = _json(data[8 : 8 + size], rng) if choice < 5 else _words(data[8 : 8 + size], rng)
    return len(words).to_bytes(8, "little") + words + data[8 + size :]


class Planted:
    """Creates a folder when it is unpickled: a sign that a file's code was executed."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return os.mkdir, (self.place,)


CANARY = "EXUVIA_CANARY"
"""Environment variable with the path at which nothing may ever appear."""


@functools.cache
def harmful() -> bytes:
    """Return a pickle that creates a folder at the path in `CANARY`."""
    return pickle.dumps(["a", Planted(os.environ.get(CANARY, "/nonexistent/canary"))], 2)


def _pickle(data: bytes, rng: random.Random) -> bytes:
    """Insert names, sizes and instructions that a plain list of words does not have."""
    choice = rng.randrange(6)
    if choice == 0:
        return harmful()
    if choice == 1:
        name = rng.choice(
            (b"cposix\nsystem\n", b"cbuiltins\neval\n", b"cnumpy\ndtype\n", b"cnumpy.core.multiarray\n_reconstruct\n")
        )
        return b"\x80\x02" + name + b"(X\x04\x00\x00\x00truetR."
    if choice == 2:
        state = (3, "<", None, ("a",), {"a": (np.dtype("u1"), rng.choice((0, 9, 1 << 20)))}, rng.choice((1, 8)), 1, 16)
        return pickle.dumps({b"data": np.zeros(4, np.uint8), b"labels": [state, np.dtype([("a", "u1")])]}, 2)
    if choice == 3:
        at = rng.randrange(len(data) + 1)
        return (
            data[:at]
            + rng.choice(
                (
                    b"\x8d" + b"\xff" * 8,
                    b"B\xff\xff\xff\x7f",
                    b"(" * 50,
                    b"0" * 9,
                    b"h\x00",
                    b"j\xff\xff\xff\xff",
                    b"\x95" + b"\xff" * 8,
                    b".",
                    b"b",
                    b"u",
                    b"R",
                    b"o",
                    b"Q",
                )
            )
            + data[at:]
        )
    return _bytes(data, rng)


def _png(data: bytes, rng: random.Random) -> bytes:
    """Damage a header or row and update the checksum."""
    if len(data) < 33:
        return _bytes(data, rng)
    head = bytearray(data[12:29])
    head[rng.randrange(4, 17)] = rng.choice((0, 1, 7, 127, 255))
    return data[:12] + bytes(head) + zlib.crc32(head).to_bytes(4, "big") + data[33:]


STRUCTURE: dict[str, Mutator] = {
    "json": _json, "jsonl": _jsonl, "toml": _toml, "npy": _npy, "zip": _zip, "safetensors": _safetensors,
    "pickle": _pickle, "png": _png,
}  # fmt: skip
"""Kind of file -> function that damages its structure."""
