"""`python -m lab fuzz`, `kill` and `soak`: damaged files, kills at random moments, and long operation."""

import math
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from exuvia.config import Count, Positive, settings
from exuvia.errors import ConfigError
from exuvia.registry import suggest
from lab.ledger.numbers import Number, record_numbers


@settings(kw_only=True)
class FuzzConfig:
    """The readers to test, and the number of inputs."""

    inputs: Count = 1_000_000
    """Total number of damaged files."""
    targets: tuple[str, ...] = ()
    """Only readers whose names begin with one of these; default: all."""
    seed: int = 0
    """Seed of every input."""
    seeds: tuple[Path, ...] = ()
    """Folders with more valid files, found by name and suffix."""
    keep: Path | None = None
    """Folder for the smallest input of every failure, with its traceback."""
    record: Path | None = None
    """Ledger to append the results to."""


def fuzz(config: FuzzConfig) -> int:
    """Feed damaged files to every importer and loader; each file must be read or refused with a clear message.

    Exit code 1 after any failure.

    Examples:
        python -m lab fuzz --inputs 20000 --targets npy bvh

    Raises:
        ConfigError: no reader has this name.
        DataError: a reader does not read its own valid files.
    """
    import torch

    torch.set_num_threads(1)
    from lab.campaign import fuzz as campaign
    from lab.campaign import readers
    from lab.campaign.fixtures import Fixtures

    chosen = _named(readers.TARGET, config.targets)
    tmpfs = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="fuzz", dir=tmpfs if tmpfs.is_dir() else None) as folder:
        fixtures = Fixtures(Path(folder))
        with campaign.canary(Path(folder)):
            more = campaign.seeds_in(config.seeds)
            benches = [campaign.prepared(readers.TARGET[name], fixtures, more) for name in chosen]
            tally = campaign.fuzz(benches, config.inputs, config.seed, log, config.keep)
    heads = ("reader", *campaign.OUTCOMES, "a second")
    table(
        heads,
        (
            (n, *(c[k] for k in campaign.OUTCOMES), f"{sum(c.values()) / max(tally.seconds[n], 1e-9):,.0f}")
            for n, c in tally.counts.items()
        ),
    )
    for one in sorted(tally.failures.values()):
        print(f"{one.outcome:9} {one.target:20} {one.place} ({one.size:,} bytes)")
    print(f"{tally.inputs:,} inputs, {tally.failed:,} failures at {len(tally.failures)} places")
    numbers = {"fuzz.inputs": Number(tally.inputs), "fuzz.failures": Number(tally.failed)}
    record_numbers(config.record, numbers, seed=config.seed)
    return 1 if tally.failed else 0


@settings(kw_only=True)
class KillConfig:
    """The commands to kill, and the number of kills."""

    kills: Count = 500
    """Total number of kills that hit a live process."""
    commands: tuple[str, ...] = ()
    """Only commands whose names begin with one of these; default: all."""
    seed: int = 0
    """Seed of moments and signals."""
    record: Path | None = None
    """Ledger to append the results to."""


def kill(config: KillConfig) -> int:
    """Kill long commands at random moments, rerun them until they end, and compare with an undisturbed run.

    Losses are: an incomplete visible file, or a target that is neither old nor new, after a kill; a run that fails; and
    a result that differs. Hidden files left by a finished run are counted separately. Exit code 1 if there are any.

    Examples:
        python -m lab kill --kills 40 --commands unlearn

    Raises:
        ConfigError: no command has this name.
    """
    import torch

    torch.set_num_threads(1)
    from lab.campaign.commands import jobs, small_shards
    from lab.campaign.fixtures import Fixtures
    from lab.campaign.kill import Result, campaign

    tmpfs, found = Path("/dev/shm"), dict[str, Result]()
    with tempfile.TemporaryDirectory(prefix="kill", dir=tmpfs if tmpfs.is_dir() else None) as folder:
        small_shards()
        known = jobs(Fixtures(Path(folder) / "fixtures"))
        chosen = _named(known, config.commands)
        shares = sum(known[name].share for name in chosen)
        for name in chosen:
            room = Path(folder) / name.replace(" ", "-")
            room.mkdir()
            count = math.ceil(config.kills * known[name].share / shares)
            one = found[name] = campaign(known[name], room, count, config.seed)
            log(f"{name}: {one.seconds:.2f} s undisturbed, {one.kills} kills, {one.lost} lost, {len(one.left)} left")
    heads = ("command", "s", "kills", "SIGTERM", "chains", "half", "differs", "failed", "left")
    counted = ("half", "differs", "failed", "left")
    table(
        heads,
        (
            (n, f"{r.seconds:.2f}", r.kills, r.gentle, r.chains, *(len(getattr(r, k)) for k in counted))
            for n, r in found.items()
        ),
    )
    for name, one in found.items():
        for kind in counted:
            for line, times in Counter(getattr(one, kind)).items():
                print(f"{name}: {kind}: {line} ({times} times)")
    kills, lost, left = (sum(x) for x in zip(*((r.kills, r.lost, len(r.left)) for r in found.values()), strict=True))
    print(f"{kills} kills, {lost} lost, {left} left")
    numbers = {"kill.kills": Number(kills), "kill.lost": Number(lost), "kill.left": Number(left)}
    record_numbers(config.record, numbers, seed=config.seed)
    return 1 if lost or left else 0


@settings(kw_only=True)
class SoakConfig:
    """Duration and number of users."""

    minutes: Positive = 30.0
    """Minutes during which users submit jobs; then the run waits for their jobs."""
    users: Count = 6
    """Number of users; each has one job at a time."""
    kill_s: Positive = 20.0
    """Mean seconds between two kills of a worker."""
    seed: int = 0
    """Seed of the users' requests and of the kills."""
    record: Path | None = None
    """Ledger to append the results to."""


def soak(config: SoakConfig) -> int:
    """Run a studio with users while its workers are killed; jobs must end done or cancelled, with readable motions.

    Exit code 1 if anything was lost.

    Examples:
        python -m lab soak --minutes 2

    Raises:
        OutputError: the studio does not start.
    """
    from lab.campaign.fixtures import Fixtures
    from lab.campaign.soak import soak as campaign

    with tempfile.TemporaryDirectory(prefix="soak") as folder:
        fixtures = Fixtures(Path(folder) / "fixtures")
        upload = fixtures.motion(fixtures.root, ".npy").read_bytes()
        about = (config.minutes, config.users, config.kill_s, config.seed, log)
        found = campaign(Path(folder) / "studio", fixtures.pipeline, fixtures.store, upload, *about)
    for line, times in Counter(found.lost).items():
        print(f"lost: {line} ({times} times)")
    for line, times in found.refused.most_common(12):
        print(f"refused: {line} ({times} times)")
    half = found.samples[len(found.samples) // 2 :] or [(0.0, 0, 0)]
    first, last = half[0], half[-1]
    print(f"second half: {first[1] >> 20} -> {last[1] >> 20} MB, {first[2]} -> {last[2]} descriptors")
    states = ", ".join(f"{count} {state}" for state, count in found.ended.most_common())
    print(f"{len(found.submitted)} jobs ({states}), {found.requests} requests")
    print(f"{found.kills} kills, {len(found.lost)} lost")
    numbers = {"soak.jobs": len(found.submitted), "soak.lost": len(found.lost), "soak.kills": found.kills}
    record_numbers(config.record, {name: Number(value) for name, value in numbers.items()}, seed=config.seed)
    return 1 if found.lost else 0


def log(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)


def table(heads: Iterable[object], rows: Iterable[Iterable[object]]) -> None:
    """Print aligned columns, the first left-aligned."""
    lines = [[str(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *rest in lines:
        print(
            " ".join(
                [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
            )
        )


def _named(known: Mapping[str, object], beginnings: tuple[str, ...]) -> list[str]:
    for word in beginnings:
        if not any(name.startswith(word) for name in known):
            raise ConfigError(f"nothing has the name {word!r}; {suggest(word, known)}")
    return [name for name in known if not beginnings or name.startswith(beginnings)]
