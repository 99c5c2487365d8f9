"""ListOps: nested lists of digits under MIN, MAX, MED and SM, and their value; the Long Range Arena's distribution.

Facts: google-research long-range-arena, lra_benchmarks/data/listops.py, commit cd31e5c6 [tay2021lra]. A node above the
greatest depth is an operator with probability 1/4, else a digit 0-9; an operator has 2 to 10 arguments. A tree of n
symbols has length n, brackets of the operator's end included; lengths lie strictly between 500 and 2000, and no tree
comes twice. MED is the median, cut to an integer; SM the sum modulo 10.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exuvia.errors import ConfigError, DataError
from exuvia.files import whole_file
from lab.lra.packed import Bytes, Packed

OPERATORS = ("MIN", "MAX", "MED", "SM")
DIGIT, OPERATOR, END = 1, 11, 15
"""Tokens of the digit 0, of MIN, and of an operator's end; 0 is padding."""
VOCABULARY = 16
"""Padding, ten digits, four operators, the end."""
CLASSES = 10
OPERATOR_SHARE = 0.25
BLOCK = 1 << 16
"""Random numbers drawn at a time."""


@dataclass(frozen=True)
class ListOpsConfig:
    """Size of the trees; the defaults are the published ones."""

    max_depth: int = 10
    """Nodes at this depth are digits; the root has depth 1."""
    max_args: int = 10
    """Most arguments of an operator."""
    shortest: int = 500
    """Lengths are greater than this ..."""
    longest: int = 2000
    """... and less than this."""

    def __post_init__(self) -> None:
        if self.max_depth < 2 or self.max_args < 2 or not 0 <= self.shortest < self.longest - 1:
            raise ConfigError(f"found {self}, expected depth and arguments of 2 or more and room between the lengths")


def generate(count: int, seed: int, config: ListOpsConfig | None = None) -> Packed:
    """Return `count` different trees with their values, a function of count, seed and config.

    About a millisecond a tree of the published size. Raises ConfigError for a negative count.
    """
    if count < 0:
        raise ConfigError(f"found a count of {count}, expected 0 or more")
    sizes = config or ListOpsConfig()
    draws = _draws(np.random.default_rng(seed))
    seen: set[bytes] = set()
    trees: list[Bytes] = []
    labels: list[int] = []
    while len(trees) < count:
        tokens, value = _tree(draws, sizes)
        if tokens is None or len(tokens) <= sizes.shortest:
            continue
        key = bytes(tokens)
        if key in seen:
            continue
        seen.add(key)
        trees.append(np.frombuffer(key, np.uint8))
        labels.append(value)
    return Packed.of(trees, labels)


def _draws(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(BLOCK).tolist()


def _tree(draws: Iterator[float], c: ListOpsConfig) -> tuple[bytearray | None, int]:
    """A tree and its value; None as soon as it must become too long."""
    draw = draws.__next__
    tokens = bytearray()
    open_args: list[int] = []  # of every open operator: arguments still to come, values so far, kind
    values: list[list[int]] = []
    kinds: list[int] = []
    last = c.longest - 1
    while True:
        if len(open_args) + 1 < c.max_depth and draw() <= OPERATOR_SHARE:
            kind = int(draw() * 4)
            tokens.append(OPERATOR + kind)
            kinds.append(kind)
            open_args.append(2 + int(draw() * (c.max_args - 1)))
            values.append([])
            if len(tokens) + sum(open_args) + len(open_args) > last:
                return None, 0
            continue
        value = int(draw() * 10)
        tokens.append(DIGIT + value)
        while open_args:
            values[-1].append(value)
            open_args[-1] -= 1
            if open_args[-1]:
                break
            open_args.pop()
            value = apply(kinds.pop(), values.pop())
            tokens.append(END)
        if not open_args:
            return tokens, value


def apply(kind: int, values: list[int]) -> int:
    """The value of an operator (an index of OPERATORS) on its arguments."""
    if kind == 0:
        return min(values)
    if kind == 1:
        return max(values)
    if kind == 3:
        return sum(values) % 10
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) // 2


def to_text(tokens: Bytes) -> str:
    """Symbols with blanks between: `[MAX 4 [SM 1 9 ] ]`."""
    return " ".join(_SYMBOLS[int(token)] for token in tokens)


def from_text(line: str) -> Bytes:
    """Tokens of symbols; parentheses, which the official files have for binary trees, are left out.

    Raises:
        DataError: a symbol that is none.
    """
    try:
        return np.asarray([_TOKENS[word] for word in line.split() if word not in ("(", ")")], np.uint8)
    except KeyError as error:
        raise DataError(f"found the symbol {error}, expected one of {' '.join(sorted(_TOKENS))}") from None


_SYMBOLS = ["", *map(str, range(10)), *(f"[{name}" for name in OPERATORS), "]"]
_TOKENS = {symbol: token for token, symbol in enumerate(_SYMBOLS) if symbol} | {"X": END}


def write_tsv(path: str | Path, data: Packed) -> None:
    """A file in the official layout: a heading, then text, tab, value. Raises OutputError."""
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(["Source", "Target"])
        writer.writerows([_binary(data[n]), int(data.labels[n])] for n in range(len(data)))


def _binary(tokens: Bytes) -> str:
    """The official notation: a list is ( ( ( [MAX a ) b ) ] ), every application of a symbol in parentheses."""
    stack: list[str] = []
    for token in tokens:
        word = _SYMBOLS[int(token)]
        if OPERATOR <= token < END:
            stack.append(word)
            continue
        if token == END:
            word = f"( {stack.pop()} ] )"
        if stack:
            stack[-1] = f"( {stack[-1]} {word} )"
        else:
            stack.append(word)
    return stack[0]


def read_tsv(path: str | Path) -> Packed:
    """A file in the official layout. Raises DataError for another."""
    trees: list[Bytes] = []
    labels: list[int] = []
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            lines = csv.reader(stream, delimiter="\t")
            if next(lines, None) != ["Source", "Target"]:
                raise DataError(f"{path} does not begin with the heading Source, Target of ListOps")
            for text, label in lines:
                trees.append(from_text(text))
                labels.append(int(label))
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise DataError(f"{path} is not a ListOps file ({error})") from None
    return Packed.of(trees, labels)
