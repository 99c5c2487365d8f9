"""`python -m lab resampling`: draws and counts which elements of a sentence or a motion SeRpEnt keeps.

The sentence's model predicts the next byte; the motion's model predicts the joints five frames later. The same seed
gives the same picture.
"""

import lzma
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from torch import Tensor, nn

from exuvia.config import settings
from exuvia.data.batches import pad_batch
from exuvia.data.store import Store
from exuvia.errors import DataError
from exuvia.features.humanml3d import HUMANML3D
from exuvia.files import write_text
from exuvia.synthetic.dataset import synthesise
from exuvia_ssm import Mamba, Resampling, SeRpEnt
from lab.draw_resampling import Strip, draw_motion, draw_sentence
from lab.ledger.numbers import Number, record_numbers

SENTENCE = "My spirits, as in a dream, are all bound up."
HELD_OUT = 0.1
"""Share at the end of the text that is held out; it contains the sentence."""
CONTEXT = 192
AHEAD = 5
"""Frames between input and prediction: a quarter of a second."""
POSITIONS = slice(4, 67)
"""Joint positions among the 263 features."""
ACTIONS = ("walk", "wave", "jump", "squat", "kick_front", "punch", "clap", "throw", "turn", "stand")


@settings
class ResamplingConfig:
    """What to train on and to draw."""

    what: tyro.conf.Positional[Literal["sentence", "motion"]]
    """A sentence of a text, or a motion."""
    text: Path = Path("tinyshakespeare.txt")
    """Text for training, plain or .xz; its last tenth contains the sentence."""
    store: Path | None = None
    """Prepared store for the motion; default: the built-in synthetic motion."""
    clip: str | None = None
    """Id of the clip of that store to draw; default: the first of the test split."""
    price: float = 0.0
    """Weight of the share of kept elements in the loss of the sentence's model."""
    steps: int = 600
    """Number of training steps."""
    seed: int = 0
    """Seed of every random choice."""
    out: Path | None = None
    """File of the picture; default: docs/ssm/serpent-WHAT.svg."""
    record: Path | None = None
    """Ledger to append the shares of kept elements to: of all held-out elements, and by kind."""


class NextByte(nn.Module):
    """Bytes [B, L] -> logits of each next byte [B, L, 256]: Mamba, then SeRpEnt, each normalised and residual."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.enter, self.leave = nn.Embedding(256, width), nn.Linear(width, 256)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.mamba, self.serpent = Mamba(width), SeRpEnt(width)

    def before(self, text: Tensor) -> Tensor:
        """Return the input of SeRpEnt, [B, L, width]."""
        x = self.enter(text)
        return self.norms[1](x + self.mamba(self.norms[0](x)))

    def forward(self, text: Tensor) -> Tensor:
        """Return logits."""
        return self.leave(self.norms[2](self.serpent(self.before(text))))


class LaterPose(nn.Module):
    """Normalised features [B, F, 263] -> the joint positions `AHEAD` frames later [B, F, 63]."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.enter, self.norm = nn.Linear(263, width), nn.LayerNorm(width)
        self.serpent, self.leave = SeRpEnt(width), nn.Linear(width, 63)

    def before(self, features: Tensor) -> Tensor:
        """Return the input of SeRpEnt, [B, F, width]."""
        return self.norm(self.enter(features))

    def forward(self, features: Tensor, valid: Tensor) -> Tensor:
        """Return positions, normalised like the input."""
        return features[..., POSITIONS] + self.leave(self.serpent(self.before(features), valid))


def fit(model: nn.Module, losses: Iterator[Tensor], steps: int, lr: float) -> None:
    """Train with Adam at a rate that falls to zero; return the last losses."""
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, steps + 1)
    for step, loss in zip(range(steps), losses, strict=False):
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            sys.stderr.write(f"step {step + 1} of {steps}: loss {loss.item():.3f}\n")


Shares = dict[str, float]
"""Share of kept elements, by `rate.kind`."""


def shares(branches: Sequence[Resampling], kinds: dict[str, NDArray[np.bool_]]) -> Shares:
    """Return the share of kept elements of every kind, for every branch; kinds are masks [B, L]."""
    return {
        f"{branch.rate:g}.{kind}": float(branch.selected.numpy()[where].mean())
        for branch in branches
        for kind, where in kinds.items()
    }


def price_of(branches: Sequence[Resampling]) -> Tensor:
    """Return how much the intervals exceed their minimum, averaged: about the share of elements kept beyond kappa."""
    return torch.stack([(branch.steps - branch.rate).mean() / (1 - branch.rate) for branch in branches]).mean()


def sentence(path: Path, steps: int, price: float) -> tuple[str, Shares]:
    """Train on a text and draw the sentence at its end; kinds: all bytes, first letters of words, blanks."""
    raw = _read(path)
    cut = int(len(raw) * (1 - HELD_OUT))
    place = raw.find(SENTENCE.encode(), cut)
    if place < 0:
        raise DataError(f"the last tenth of {path} does not contain the sentence {SENTENCE!r}; use tinyshakespeare")
    text = torch.frombuffer(bytearray(raw), dtype=torch.uint8).long()
    model = NextByte()

    def losses() -> Iterator[Tensor]:
        while True:
            rows = torch.stack([text[i : i + CONTEXT + 1] for i in torch.randint(cut - CONTEXT - 1, (16,)).tolist()])
            loss = nn.functional.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
            yield loss + price * price_of(model.serpent.resampling(model.before(rows[:, :-1]))) if price else loss

    fit(model, losses(), steps, 3e-3)
    first = place - CONTEXT
    with torch.no_grad():
        found = model.serpent.resampling(model.before(text[None, first : place + len(SENTENCE)]))
    strips = [
        Strip(branch.rate, branch.steps[0, CONTEXT:].numpy(), branch.selected[0, CONTEXT:].numpy()) for branch in found
    ]
    rows = text[cut : cut + (len(text) - cut) // CONTEXT * CONTEXT].view(-1, CONTEXT)
    with torch.no_grad():
        every = model.serpent.resampling(model.before(rows))
    blank = np.isin(rows.numpy(), (10, 32))
    start = np.zeros_like(blank)
    start[:, 1:] = blank[:, :-1] & ~blank[:, 1:]
    kinds = {"all": np.ones_like(blank), "word_start": start, "blank": blank}
    return draw_sentence(SENTENCE, strips), shares(every, kinds)


def _read(path: Path) -> bytes:
    try:
        return lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    except (OSError, lzma.LZMAError) as error:
        raise DataError(f"{path} is not a readable text ({error})") from None


def motion(store: Path | None, clip: str | None, steps: int) -> tuple[str, Shares]:
    """Train on motions and draw a held-out one; kinds: all its frames, its faster and its slower half."""
    joints, features, shown = _stored(store, clip) if store is not None else _made()
    std, mean = torch.std_mean(torch.from_numpy(np.concatenate(features)), 0)
    model = LaterPose()

    def losses() -> Iterator[Tensor]:
        while True:
            chosen = [features[i] for i in torch.randint(len(features), (16,)).tolist()]
            x, valid = map(torch.from_numpy, pad_batch(chosen))
            x = (x - mean) / (std + 0.02)
            both = valid[:, AHEAD:]
            yield (model(x, valid)[:, :-AHEAD] - x[:, AHEAD:, POSITIONS])[both].abs().mean()

    fit(model, losses(), steps, 2e-3)
    x = (torch.from_numpy(np.array(shown)) - mean) / (std + 0.02)
    with torch.no_grad():
        found = model.serpent.resampling(model.before(x[None]))
    strips = [Strip(branch.rate, branch.steps[0].numpy(), branch.selected[0].numpy()) for branch in found]
    moved = np.linalg.norm(np.diff(joints[: len(shown) + 1].astype(np.float64), axis=0), axis=-1).mean(-1)
    fast = (moved > np.median(moved))[None, : len(shown)]
    kinds = {"all": np.ones_like(fast), "fast_half": fast, "slow_half": ~fast}
    return draw_motion(joints[: len(shown)], strips), shares(found, kinds)


def _made() -> tuple[NDArray[np.float32], list[NDArray[np.float32]], NDArray[np.float32]]:
    """Return from built-in motions: joints of the one to draw, features of 400 others, features of the one to draw."""
    clips = [made.clip.joints for made in synthesise(400, 0, actions=ACTIONS)]
    shown = next(synthesise(1, 1, actions=("kick_front",), compositions=0.0, start=3)).clip.joints
    *features, last = HUMANML3D.encode([*clips, shown])
    return shown, features, last


def _stored(
    folder: Path, clip: str | None
) -> tuple[NDArray[np.float32], list[NDArray[np.float32]], NDArray[np.float32]]:
    """Return the same from a store: its training clips, and a clip by its id, else the first of the test split."""
    store = Store.open(folder)
    number = int(store.select(split="test")[0]) if clip is None else store.index_of[clip]
    features = [np.array(store.features(int(i))) for i in store.select(split="train") if int(i) != number]
    long = [f for f in features if len(f) > 2 * AHEAD]
    return np.array(store.joints(number)), long, np.array(store.features(number))


def resampling(config: ResamplingConfig) -> None:
    """Train a small model for some minutes on one core, then draw and count what it keeps of held-out data.

    Examples:
        python -m lab resampling motion --store stores/mocap --clip 001169 --steps 800

    Raises:
        DataError: the text or the store cannot be read, or the text does not contain the sentence.
        OutputError: the picture or the ledger cannot be written.
    """
    torch.manual_seed(config.seed)
    torch.set_num_threads(1)
    if config.what == "sentence":
        drawn, kept = sentence(config.text, config.steps, config.price)
    else:
        drawn, kept = motion(config.store, config.clip, config.steps)
    out = config.out or Path("docs/ssm") / f"serpent-{config.what}.svg"
    write_text(out, drawn)
    for name, share in kept.items():
        print(f"kept {name}: {share:.3f}")
    print(f"wrote {out}")
    what = f"{config.what}_price{config.price:g}" if config.price else config.what
    numbers = {f"serpent.kept.{what}.{name}": Number(share) for name, share in kept.items()}
    record_numbers(config.record, numbers, seed=config.seed)
