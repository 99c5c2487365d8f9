"""Tables of the result documents, made from rows of the ledger by functions that templates call by name.

Lines and columns are named in the template, separated by blanks: other
measurements never change a table, and a line without any row is a problem.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from exuvia.tables import Better, Cell, Column, Interval, Table
from lab.ledger.names import benchmark_name, frames_name
from lab.ledger.quotes import Quotes, quoted, written
from lab.roofline import PASSES

Make = str | Callable[[str], Cell]
"""How to make a column's cell from a line's key: a row's name with {} for the key, or a function."""
Columns = Sequence[tuple[Column, Make]]

FORGET: tuple[tuple[str, str, Better, int], ...] = (
    ("violence_rate", "violent", "lower", 2), ("ncs@10", "NCS@10", "lower", 2), ("mm_safe", "MM-Safe", "", 2),
    ("fid", "FID", "", 1), ("mean_joint_speed_m_per_s", "speed, m/s", "", 2), ("freeze_rate", "frozen", "lower", 3),
    ("foot_skate_rate", "skating", "lower", 2),
)  # fmt: skip
RETAIN: tuple[tuple[str, str, Better, int], ...] = (
    ("violence_rate", "violent", "lower", 3), ("r_precision@1", "R@1", "higher", 2),
    ("r_precision@3", "R@3", "higher", 2), ("mm_dist", "MM-Dist", "lower", 2), ("fid", "FID", "lower", 2),
    ("kid", "KID", "lower", 4), ("mean_joint_speed_m_per_s", "speed, m/s", "", 2),
)  # fmt: skip
PROMPTS = (
    "lookalike", "implicit", "compositional", "paraphrase", "misspelling", "written_lookalike", "long_violent",
    "long_benign", "empty",
)  # fmt: skip
YARDSTICKS = ("real", "none", "retrain")
"""Lines of the benchmark that are never bold."""
SELECTIVITY: tuple[tuple[str, str, int | str], ...] = (
    ("r2", "R²", 2), ("spearman", "ranks", 2), ("slope", "slope, 1/bit", ".1e"), ("any_curve_r2", "any curve", 2),
    ("token_r2", "token alone", 2), ("partial_r2", "beyond the token", 2), ("all_channels_r2", "all channels", 2),
    ("next_entropy_r2", "R² of next entropy", 2), ("untrained_r2", "R² untrained", 2),
)  # fmt: skip
"""Names of rows, headings and forms."""


def benchmark_table(quotes: Quotes, place: str, methods: str) -> str:
    """Forget captions, retain captions and written prompts of `exuvia benchmark`, one line per method.

    Args:
        quotes: the ledger
        place: the concept with its tag, as in violence.kinect
        methods: labels; the yardsticks come first
    """
    lines = {name: name for name in methods.split()}

    def columns(of: str, chosen: Sequence[tuple[str, str, Better, int]]) -> Columns:
        return [(Column(head, to, n), benchmark_name(of, "{}", metric, place)) for metric, head, to, n in chosen]

    retain = [*columns("retain", RETAIN), (Column("edit, s", decimals=1), f"unlearn.{{}}.{place}.edit_s")]
    seen = [benchmark_name(of, "{}", "violence_rate", place) for of in PROMPTS]
    prompts = [(Column(name.split(".")[1].replace("_", " "), decimals=2), name) for name in seen]
    generated = {name: name for name in lines if name != "real"}
    return "\n\n".join(
        (
            _table(quotes, "forget captions", lines, columns("forget", FORGET), YARDSTICKS),
            _table(quotes, "retain captions", lines, retain, YARDSTICKS),
            _table(quotes, "motions seen as violent", generated, prompts),
        )
    )


def leaderboard_table(quotes: Quotes, place: str, methods: str) -> str:
    """What methods forget and what they keep, in one table: the main columns of `benchmark_table`."""
    chosen = (
        (Column("violent", "lower", 2), "forget", "violence_rate"),
        (Column("implicit", "lower", 2), "implicit", "violence_rate"),
        (Column("look-alikes", "", 2), "written_lookalike", "violence_rate"),
        (Column("speed, m/s", "", 2), "forget", "mean_joint_speed_m_per_s"),
        (Column("FID, kept", "lower", 2), "retain", "fid"),
        (Column("R@3, kept", "higher", 2), "retain", "r_precision@3"),
    )
    columns: list[tuple[Column, Make]] = [
        (column, benchmark_name(of, "{}", metric, place)) for column, of, metric in chosen
    ]
    columns.append((Column("edit, s", decimals=1), f"unlearn.{{}}.{place}.edit_s"))
    return _table(quotes, "method", {name: name for name in methods.split()}, columns, YARDSTICKS)


def backbones_table(quotes: Quotes, generators: str, frames: Sequence[int]) -> str:
    """Quality of generators, and their cost at several lengths in frames."""
    quality = (
        (Column("FID", "lower", 2), "fid"), (Column("KID", "lower", 4), "kid"), (Column("R@3", "higher", 3), "r3"),
        (Column("speed, m/s", "", 2), "speed_m_per_s"), (Column("jerk, m/s³", "", 0), "jerk"),
        (Column("skating", "lower", 3), "foot_skate"),
    )  # fmt: skip
    cost = [(Column("training, s", "", 0), "train_s")]
    cost += [(Column(f"{n:,} frames, s", "", 2), f"generate_s.{n}") for n in frames]
    cost += [(Column(f"{n:,} frames, MB", "", 1), f"peak_mb.{n}") for n in frames]
    lines = {name: f"`{name}`" for name in generators.split()}
    named = [[(column, f"backbone.{{}}.{name}") for column, name in columns] for columns in (quality, cost)]
    size: Columns = [(Column("parameters"), lambda key: _written(quotes, f"backbone.{key}.parameters", ",.0f"))]
    return "\n\n".join(_table(quotes, "generator", lines, columns) for columns in (named[0], [*size, *named[1]]))


def across_table(quotes: Quotes, concept: str, generators: str, methods: str) -> str:
    """The same methods on several generators: one table each."""
    columns = (
        (Column("violent", "lower", 2), "forget_violence_rate"), (Column("NCS@10", "lower", 2), "forget_ncs10"),
        (Column("violent, retain", "lower", 3), "retain_violence_rate"),
        (Column("FID, retain", "lower", 2), "retain_fid"), (Column("R@3, retain", "higher", 2), "retain_r3"),
        (Column("edit, s", "", 1), "edit_s"),
    )  # fmt: skip
    lines = {name: name for name in methods.split()}
    return "\n\n".join(
        _table(quotes, f"`{one}`", lines, [(c, f"across.{one}.{{}}.{concept}.{n}") for c, n in columns], YARDSTICKS)
        for one in generators.split()
    )


def frames_table(quotes: Quotes, name: str, layers: int, rates: Sequence[float], kinds: str) -> str:
    """How much more likely a kind of step is kept than others of its clip; in brackets, than any step of all clips.

    Bold if the range over clips excludes 1.
    """
    lines = {f"{n} {rate}": f"layer `{n + 1}`, rate `{rate:g}`" for n in range(layers) for rate in rates}

    def cell(kind: str, key: str) -> str:
        layer, rate = key.split()
        one, every = (
            quotes.estimate(frames_name(name, int(layer), float(rate), kind, what)) for what in ("kept_in_clip", "kept")
        )
        if one is None or every is None:
            return ""
        mark = "" if one.low <= 1 <= one.high else "**"
        return f"{mark}{written(one.mean, 2)} [{one.low:.2f}, {one.high:.2f}]{mark} ({written(every.mean, 2)})"

    return _table(quotes, name, lines, [(Column(kind), partial(cell, kind)) for kind in kinds.split()])


def scan_table(quotes: Quotes, prefix: str, sizes: str, methods: Mapping[str, str]) -> str:
    """`ms / peak extra MB`: one table per pass, line per method (key: title), column per size; `>` before a bound."""

    def cell(size: str, which: str, method: str) -> str:
        name = f"{prefix}.ms.{size}.{which}.{method}"
        ms, mb = _written(quotes, name), _written(quotes, f"{prefix}.mb.{size}.{which}.{method}")
        bound = "> " if ms and "at least" in quotes.rows[name]["unit"] else ""
        return bound + " / ".join(text for text in (ms, mb) if text)

    blocks = []
    for which, title in zip(PASSES, ("forward", "forward + backward"), strict=True):
        columns = [(Column(size), partial(cell, size, which)) for size in sizes.split()]
        blocks += [f"**{title}**, ms / MB", _table(quotes, "B x L x D x N", methods, columns)]
    return "\n\n".join(blocks)


def sequence_table(quotes: Quotes, prefix: str, places: str, variants: str, metric: str) -> str:
    """The metric with its deviation over seeds; training time, and times the backbone's; memory.

    Args:
        quotes: the ledger
        prefix: of rows, {} for the place, as in lra.{}.short
        places: tasks or texts, the columns
        variants: kinds of layers, the lines
        metric: accuracy or bpb (bits per byte)
    """
    lines = {name: f"`{name}`" if "@" in name else name for name in variants.split()}

    def table(corner: str, make: Callable[[str], Cell], better: Better = "") -> str:
        columns = [
            (Column(place, better, 3), lambda key, place=place: make(f"{prefix.format(place)}.{key}"))
            for place in places.split()
        ]
        return _table(quotes, corner, lines, columns)

    def score(name: str) -> Cell:
        mean, spread = (quotes.estimate(f"{name}.{what}") for what in (metric, f"{metric}_deviation"))
        if mean is None or spread is None:
            return mean and mean.mean
        return Interval(mean.mean, mean.mean - spread.mean, mean.mean + spread.mean)

    def time(name: str) -> str:
        seconds, ratio = (_written(quotes, f"{name}.{what}", n) for what, n in (("train_s", 0), ("times_backbone", 2)))
        return f"{seconds} ({ratio})" if ratio else seconds

    accurate = metric == "accuracy"
    return "\n\n".join(
        (
            table(metric if accurate else "bits a byte", score, "higher" if accurate else "lower"),
            table("training, s (times the backbone's)", time),
            table("kept for the backward pass, MB a batch", lambda name: _written(quotes, f"{name}.kept_mb", 1)),
        )
    )


def selectivity_table(quotes: Quotes, sources: str, layers: int) -> str:
    """How step sizes follow information: one line per source and layer."""

    def gap(key: str) -> str:
        return _written(quotes, f"selectivity.gap_bits.{key.split('.')[0]}", 2)

    columns: list[tuple[Column, Make]] = [(Column("bits above its information"), gap)]
    columns += [(Column(head), partial(_selectivity, quotes, name, form)) for name, head, form in SELECTIVITY]
    lines = {f"{name}.layer{n}": f"{name}, layer {n}" for name in sources.split() for n in range(1, layers + 1)}
    return _table(quotes, "source", lines, columns)


def _selectivity(quotes: Quotes, name: str, form: int | str, place: str) -> str:
    found = quotes.estimate(f"selectivity.{name}.{place}")
    if found is None:
        return ""
    limits = f" [{written(found.low, form)}, {written(found.high, form)}]" if name == "r2" else ""
    return f"{written(found.mean, form)}{limits}"


def _written(quotes: Quotes, name: str, form: int | str | None = None) -> str:
    """Return a row's value, "" without a row."""
    found = quotes.estimate(name)
    return "" if found is None else written(found.mean, form)


def _table(quotes: Quotes, corner: str, lines: Mapping[str, str], columns: Columns, aside: Sequence[str] = ()) -> str:
    """Return Markdown with one line per key; omit columns without numbers; a line without numbers is a problem."""
    cells = {
        key: [quotes.estimate(make.format(key)) if isinstance(make, str) else make(key) for _, make in columns]
        for key in lines
    }
    quotes.problems += [f"the table {corner!r} has no number for {key!r}" for key, row in cells.items() if not any(row)]
    kept = [n for n in range(len(columns)) if any(row[n] for row in cells.values())]
    rows = [[lines[key], *(row[n] for n in kept)] for key, row in cells.items()]
    return quoted(Table([Column(corner), *(columns[n][0] for n in kept)], rows, aside).markdown())


FUNCTIONS = (
    benchmark_table, leaderboard_table, backbones_table, across_table, frames_table, scan_table,
    sequence_table, selectivity_table,
)  # fmt: skip
"""Functions that a template may call, without the first argument."""
