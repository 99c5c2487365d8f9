"""A SeRpEnt layer learns to name motions: python examples/serpent_classifier.py [STORE] [STEPS]

STORE is any prepared store with labels, real motion capture for instance (`exuvia prepare FOLDER STORE`); without one
the built-in synthetic motion is prepared in stores/actions. Classes are the labels of 40 training clips or more.
"""

import sys
import time
from collections import Counter

import torch
from torch import nn

from exuvia.data.batches import pad_batch
from exuvia.data.prepare import prepare
from exuvia.data.store import Store
from exuvia_ssm import SeRpEnt


def train(store: Store, steps: int = 300, least: int = 40) -> torch.Tensor:
    """Return which test clips a model trained for this many steps classifies correctly, [clips] bool."""
    name = [str(clip.labels.get("label") or "") for clip in store.clips]
    count = Counter(name[i] for i in store.select(split="train") if name[i])
    classes = sorted(n for n in count if count[n] >= least)
    fit, test = ([int(i) for i in store.select(split=s) if name[i] in classes] for s in ("train", "test"))
    std, mean = torch.std_mean(torch.cat([torch.tensor(store.features(i)) for i in fit]), 0)

    def batch(clips: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x, valid = map(torch.from_numpy, pad_batch([store.features(i)[:120] for i in clips]))
        return (x - mean) / (std + 0.05), valid, torch.tensor([classes.index(name[i]) for i in clips])

    def logits(x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        return leave(serpent(enter(x), valid).sum(1) / valid.sum(1, keepdim=True))  # the mean of the real frames

    enter, serpent, leave = net = nn.ModuleList([nn.Linear(263, 64), SeRpEnt(64), nn.Linear(64, len(classes))])
    optimiser = torch.optim.AdamW(net.parameters())
    for step in range(steps):
        x, valid, target = batch([fit[i] for i in torch.randint(len(fit), (32,))])
        nn.functional.cross_entropy(logits(x, valid), target).backward()
        optimiser.param_groups[0]["lr"] = 4e-3 * (1 - step / steps)
        optimiser.step()
        optimiser.zero_grad()
    with torch.no_grad():
        x, valid, target = batch(test)
        return logits(x, valid).argmax(1) == target


def main(folder: str | None = None, steps: int = 300, least: int = 40) -> float:
    """Train, print how well and how fast, and give the share that is right."""
    store = prepare("synthetic", "stores/actions", count=1500) if folder is None else Store.open(folder)
    torch.manual_seed(0)
    started = time.monotonic()
    right = train(store, steps, least)
    share = float(right.float().mean())
    print(f"{share:.0%} of {len(right)} test clips named right, {time.monotonic() - started:.0f} s")
    return share


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
