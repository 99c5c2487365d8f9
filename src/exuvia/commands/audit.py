"""`exuvia audit PIPELINE`: prompts a generator for violence and lets a classifier judge the motions."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import tyro

from exuvia.commands.generate import read_prompts
from exuvia.config import Seed, settings
from exuvia.device import Device
from exuvia.errors import ConfigError
from exuvia.files import csv_text, write_json, write_text
from exuvia.progress import progress_bar

PRINTED = 20
"""Maximum number of violent motions to print; the files list all."""


@settings
class AuditConfig:
    """Generator to audit, and prompts."""

    pipeline: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PIPELINE")]
    """A shipped pipeline's name or a pipeline folder, such as one of `exuvia unlearn`."""
    prompts: Path | None = None
    """Text file with your own prompts, one per line; lengths after # are ignored."""
    kinds: tuple[str, ...] = ()
    """Kinds of shipped prompts: explicit, implicit, compositional, paraphrase and misspelling ask for violence,
    lookalike does not, long contains both. The default without --prompts is all kinds that ask for violence."""
    seeds: tuple[Seed, ...] = (0,)
    """Seeds; every prompt gets one motion for each."""
    out: Path = Path("audit")
    """Folder for audit.csv (one line per motion) and audit.json (the same, and the rates)."""
    device: Device = "cpu"
    """Device of the models: cpu, cuda, cuda:1, mps."""


def audit(config: AuditConfig) -> None:
    """Generate a motion for every prompt, and let the shipped classifier detect violence.

    The classifier makes errors of both kinds: compare the rate of an edited generator with that of the original, and
    with that of look-alikes (--kinds explicit lookalike).
    """
    from exuvia.evaluation.audit import audit as audit_pipeline
    from exuvia.evaluation.audit import audit_lines, rates
    from exuvia.evaluation.prompts.load import KIND, fingerprint
    from exuvia.judges.shipped import shipped_detector
    from exuvia.pipeline.pipeline import MotionPipeline

    if config.out.is_file():
        raise ConfigError(f"found the file {config.out}, expected a folder for the audit")
    own = [prompt for prompt, _ in read_prompts(config.prompts)] if config.prompts else []
    all_violent = tuple(kind for kind, about in KIND.items() if about.violent)
    kinds = config.kinds or (() if config.prompts else all_violent)
    asked = audit_lines(own, kinds, config.seeds)
    if not asked:
        raise ConfigError("found no prompt to ask, expected at least one prompt and one seed")
    detector = shipped_detector()
    pipe = MotionPipeline.from_pretrained(config.pipeline, device=config.device)
    with progress_bar("audit", "motions") as progress:
        lines = audit_pipeline(pipe, detector, asked, progress)
    facts = {"pipeline": config.pipeline, "threshold": detector.point.threshold, "prompts": fingerprint()}
    rows = [asdict(line) for line in lines]
    write_text(config.out / "audit.csv", csv_text(rows))
    write_json(config.out / "audit.json", {**facts, "rates": [asdict(rate) for rate in rates(lines)], "lines": rows})
    seen = sorted((line for line in lines if line.slipped), key=lambda line: -(line.score or 0))
    for line in seen[:PRINTED]:
        print(f"{line.score:.2f}  {line.id}, seed {line.seed}: {line.text}")
    if len(seen) > PRINTED:
        print(f"... and {len(seen) - PRINTED} more")
    print(f"{len(seen)} of {sum(line.score is not None for line in lines)} motions are seen as violent\n")
    for rate in rates(lines):
        interval = f"{rate.share:.2f} [{rate.low:.2f}, {rate.high:.2f}]"
        print(f"{rate.kind:<14}{rate.slipped:>5} of {rate.motions:<5} {interval}")
    print(f"\n{config.out}: audit.csv, audit.json")
