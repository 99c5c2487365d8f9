"""A SeRpEnt layer learns to name motions: `exuvia prepare synthetic stores/actions --count 1500`, then this file.

Any prepared store with labels does, real motion capture too: python examples/serpent_classifier.py STORE [STEPS]
"""

import sys
import time

import numpy as np
import torch
from torch import nn

from exuvia.data.store import Store
from exuvia.ssm import SeRpEnt


class Classifier(nn.Module):
    """Features [B, L, 263] -> logits [B, classes]: linear, SeRpEnt, mean over the real frames, linear."""

    def __init__(self, classes: int, width: int = 64) -> None:
        super().__init__()
        self.enter, self.layer, self.leave = nn.Linear(263, width), SeRpEnt(width), nn.Linear(width, classes)

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        y = self.layer(self.enter(x), valid)  # 0 where not valid
        return self.leave(y.sum(1) / valid.sum(1, keepdim=True))


def main(folder: str = "stores/actions", steps: int = 300, least: int = 40) -> float:
    """Train on actions with so many clips at least, and give the share of test clips that are named right."""
    torch.manual_seed(0)
    store, started = Store.open(folder), time.monotonic()
    names = [str(clip.labels.get("label")) for clip in store.clips]
    common = sorted({n for n in names if names.count(n) >= least and n != "None"})
    parts = {s: [int(i) for i in store.select(split=s) if names[i] in common] for s in ("train", "test")}
    mean, std = (f(np.concatenate([store.features(i) for i in parts["train"]]), 0) for f in (np.mean, np.std))

    def batch(clips: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        rows = [torch.as_tensor((store.features(i)[:120] - mean) / (std + 0.05), dtype=torch.float32) for i in clips]
        x = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        valid = torch.arange(x.shape[1]) < torch.tensor([len(r) for r in rows])[:, None]
        return x, valid, torch.tensor([common.index(names[i]) for i in clips])

    model = Classifier(len(common))
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps)
    for _ in range(steps):
        x, valid, target = batch([parts["train"][int(i)] for i in torch.randint(len(parts["train"]), (32,))])
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x, valid), target).backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        x, valid, target = batch(parts["test"])
        right = float((model(x, valid).argmax(1) == target).float().mean())
    print(f"{len(common)} actions, {right:.0%} of {len(target)} test clips right, {time.monotonic() - started:.0f} s")
    return right


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
