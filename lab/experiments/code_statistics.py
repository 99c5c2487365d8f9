"""`python -m lab statistics`: times the code statistics of a corpus, which LCR needs."""

from pathlib import Path
from typing import Literal

import torch

from exuvia.config import settings
from lab.code_statistics import bench_statistics as time_statistics
from lab.ledger.numbers import Number, record_numbers


@settings
class StatisticsBenchConfig:
    """Settings of the timing, which uses random weights of the published size and synthetic clips."""

    clips: int = 600
    """Number of clips to encode and count."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Precision of the encoder."""
    threads: int = 2
    """Threads of torch."""
    record: Path | None = None
    """Ledger to append the results to."""


def bench_statistics(config: StatisticsBenchConfig) -> None:
    """Time the pass over motion that LCR needs (encode, count), and extrapolate to 25,000 clips.

    Raises:
        OutputError: the ledger cannot be written.
    """
    torch.set_num_threads(config.threads)
    measured = time_statistics(config.clips, precision=config.precision)
    print(
        f"{measured.clips_per_s:.0f} clips/s in {config.precision}, {config.threads} threads; "
        f"25,000 clips of 7.1 s would take {measured.corpus_seconds:.0f} s"
    )
    numbers = {
        "lcr.stats_clips_per_s": Number(measured.clips_per_s, "1/s"),
        "lcr.stats_25000_clips_s": Number(measured.corpus_seconds, "s"),
    }
    record_numbers(config.record, numbers)
