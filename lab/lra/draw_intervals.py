"""Pictures of learned intervals: tokens or pixels with what a branch keeps of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exuvia_ssm import Resampling
from lab.figures import plots, save
from lab.lra import listops, probes

COLUMNS = 64
"""Tokens per line."""
MAP = "YlOrRd"


def draw_pixels(pictures: NDArray[np.float32], resampling: Resampling, path: Path, title: str) -> Path:
    """Pictures above their intervals, selected pixels ringed.

    Args:
        pictures: [B, side, side]
        resampling: one branch of one layer, of the same batch
        path: .svg or another format of matplotlib
        title: above all
    Raises:
        ConfigError: matplotlib is not installed.
    """
    pyplot, (count, side, _) = plots(), pictures.shape
    figure, grid = pyplot.subplots(2, count, figsize=(1.7 * count, 3.9), squeeze=False)
    steps = resampling.steps.cpu().numpy().reshape(count, side, side)
    chosen = resampling.selected.cpu().numpy().reshape(count, side, side)
    for number in range(count):
        grid[0][number].imshow(pictures[number], cmap="gray")
        shown = grid[1][number].imshow(steps[number], cmap=MAP, vmin=steps.min(), vmax=steps.max())
        rows, columns = np.nonzero(chosen[number])
        grid[1][number].scatter(columns, rows, s=60 / side, c="#1d4ed8", linewidths=0)
        for line in grid:
            line[number].set_axis_off()
    figure.colorbar(shown, ax=grid[1].tolist(), label="interval", fraction=0.03)
    figure.suptitle(title)
    return save(figure, path)


def draw_tokens(names: Sequence[str], resampling: Resampling, path: Path, title: str) -> Path:
    """A sequence of tokens in lines, coloured by their intervals, selected ones underlined.

    Args:
        names: what is written for every token of the first sequence of the batch [L]
        resampling: one branch of one layer
        path: .svg or another format of matplotlib
        title: above all
    Raises:
        ConfigError: matplotlib is not installed.
    """
    pyplot = plots()
    from matplotlib.patches import Rectangle

    steps = resampling.steps[0, : len(names)].cpu().numpy()
    chosen = resampling.selected[0, : len(names)].cpu().numpy()
    lines = -(-len(names) // COLUMNS)
    figure, place = pyplot.subplots(figsize=(0.17 * COLUMNS, 0.3 * lines + 0.7))
    colours, limits = pyplot.get_cmap(MAP), (float(steps.min()), float(steps.max()))
    for number, (name, step) in enumerate(zip(names, steps, strict=True)):
        row, column = divmod(number, COLUMNS)
        shade = (step - limits[0]) / max(limits[1] - limits[0], 1e-12)
        place.add_patch(Rectangle((column, -row), 1, 0.9, color=colours(0.75 * shade), lw=0))
        place.text(column + 0.5, -row + 0.42, name, ha="center", va="center", fontsize=7, family="monospace")
        if chosen[number]:
            place.plot([column + 0.1, column + 0.9], [-row + 0.06, -row + 0.06], color="#1d4ed8", lw=1.4)
    place.set_xlim(0, COLUMNS)
    place.set_ylim(1 - lines, 1)
    place.set_axis_off()
    place.set_title(title, loc="left")
    return save(figure, path)


def token_names(task: str, tokens: NDArray[Any]) -> list[str]:
    """What is written for the tokens of a sequence [L]."""
    if task == "listops":
        operators = dict(enumerate(("MN", "MX", "MD", "SM"), listops.OPERATOR)) | {listops.END: "]"}
        return [operators.get(int(token), str(int(token) - listops.DIGIT)) for token in tokens]
    if task == "text":
        return [chr(int(token) - 1) if 33 <= token - 1 < 127 else " " for token in tokens]
    return [{probes.MARK: "#", probes.BLANK: "."}.get(int(t), str(int(t) - probes.BLANK * (t > probes.BLANK)))
            for t in tokens]  # fmt: skip
