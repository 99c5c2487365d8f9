"""Parity of latent code replacement with the released edits (cases 08_lcr*)."""

from typing import Any

import torch
from torch import Tensor

from exuvia.codes.statistics import CodeStatistics, count_codes
from exuvia.unlearning.lcr import EditDraws, LCRConfig, plan_edit
from exuvia.unlearning.selection import released_selection
from lab.packed import packed
from lab.parity.case import Case


class RecordedEditDraws(EditDraws):
    """Plays back the noise and destinations of a reference run."""

    def __init__(self, case: Case, run: str) -> None:
        self.case, self.run = case, run
        self.recorded = list(case.config["runs"][run]["random_destinations_drawn"])

    def noise(self, level: int, rows: int, dim: int) -> Tensor:
        """The recorded noise of a level."""
        return self.case.tensor(f"{self.run}.rng.noise_layer{level}").view(rows, dim)

    def index(self, count: int) -> int:
        """The next recorded destination."""
        return self.recorded.pop(0)


def lcr(case: Case) -> dict[str, Any]:
    """Counts, selected codes, deviations and the codebooks after every run of the case."""
    books = case.tensor("in.codebooks")
    clips = [clip.T for clip in case.tensors["in.codes"].transpose(1, 0, 2)]
    codes = packed(clips, case.config["codebook_size"])
    statistics = count_codes(codes, case.tensors["in.positive"] != 0)
    ours: dict[str, Any] = {"out.std_per_layer": torch.stack([book.std() for book in books])}
    for level in range(statistics.levels):
        ours[f"out.forget_counts{level}"] = statistics.documents_forget[level]
        ours[f"out.retain_counts{level}"] = statistics.documents_retain[level]
        ours[f"out.selected{level}"] = released_selection(statistics, level, case.config["code_prune"])
    for run in case.config["runs"]:
        ours[f"{run}.out.codebooks"] = _edited(case, run, books, statistics)
    known = {f"out.{kind}{level}" for kind in ("forget_counts", "retain_counts", "selected") for level in range(99)}
    return {name: value for name, value in ours.items() if name not in known or name in case.tensors}


def _edited(case: Case, run: str, books: Tensor, statistics: CodeStatistics) -> Tensor:
    args = case.config["runs"][run]["args"]

    def option(name: str, default: float) -> float:
        return float(args[args.index(name) + 1]) if name in args else default

    config = LCRConfig(
        num_codes=int(option("--code_prune", case.config["code_prune"])),
        levels=tuple(range(int(option("--layer_prune", 1)))),
        alpha=option("--alpha", 1.0),
        destination=int(option("--dest_code_idx", 0)),
        orthogonal="--orth" in args,
        variant="released",
    )
    edited = books.clone()
    for edit in plan_edit(list(books), statistics, config, RecordedEditDraws(case, run)):
        edited[edit.level, torch.from_numpy(edit.codes)] = edit.rows
    return edited
