"""An audit: many prompts to one generator, and which of them the classifier finds violence in.

Its result has a line a prompt: `id`, `kind`, `violent` (what the prompt asks for; null where nobody said), `motion`,
`seed`, `score`, `slipped` (at or above the classifier's threshold). Prompts that the generator refuses have an `error`.
"""

from typing import Any

from exuvia.errors import CheckpointError
from exuvia.evaluation.prompts.load import fingerprint, load_prompts
from exuvia.studio.jobs.base import BATCH, Desk
from exuvia.studio.jobs.generate import Wish, made
from exuvia.studio.queue import DONE, Job


def audit(jobs: list[Job], desk: Desk) -> None:
    """Run prompts of one's own and the shipped sets through a generator. Raises Cancelled, ExuviaError."""
    detector = desk.detector()
    if detector is None:
        raise CheckpointError("this installation ships no classifier, without which nothing can be audited")
    for job in jobs:
        ask: dict[str, Any] = job.request
        lines = audit_lines(ask)
        todo = [n for n, line in enumerate(lines) if line["text"].strip()]
        names: list[str] = []
        for low in range(0, len(todo), BATCH):
            desk.progress(job, low, len(todo))
            some = [
                Wish(job, n, ask["pipeline"], lines[n]["text"], lines[n]["seed"], None) for n in todo[low : low + BATCH]
            ]
            rows = made(desk, some)
            with desk.library.engine.begin() as link:
                names += desk.library.add_motions(link, rows)
            for wish, row in zip(some, rows, strict=True):
                score = row["violence"]
                slipped = score is not None and score >= detector.point.threshold
                lines[wish.number] |= {"score": None if score is None else round(score, 4), "slipped": slipped}
        for n, name in zip(todo, names, strict=True):
            lines[n]["motion"] = name
        facts = {"pipeline": ask["pipeline"], "threshold": detector.point.threshold, "prompts": fingerprint()}
        desk.queue.finish(job.id, DONE, {"lines": lines, **facts})


def audit_lines(ask: dict[str, Any]) -> list[dict[str, Any]]:
    """What an audit asks: own prompts, then those of the shipped kinds, each under every seed."""
    own = [
        {"id": f"own-{n:03d}", "kind": "own", "text": text, "violent": None} for n, text in enumerate(ask["prompts"], 1)
    ]
    sets = [
        {"id": p.id, "kind": p.kind, "text": p.text, "violent": p.violent}
        for kind in ask["kinds"]
        for p in load_prompts(kind)
    ]
    blank = {"score": None, "slipped": False, "motion": None}
    lines = [line | blank | {"seed": seed} for seed in ask["seeds"] for line in [*own, *sets]]
    return [
        line | ({} if line["text"].strip() else {"error": "the generator refuses an empty prompt"}) for line in lines
    ]
