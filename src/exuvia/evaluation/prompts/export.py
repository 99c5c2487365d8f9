"""The benchmark's prompts as a folder that the `datasets` library and any reader of JSON lines can load."""

import json
from dataclasses import asdict
from pathlib import Path

from exuvia.evaluation.prompts.load import fingerprint, library
from exuvia.files import whole_folder, write_text

FOLDER = "prompt export"
"""What `export_prompts` makes, for `files.check_folder`."""
_CARD = """---
license: mit
language: en
pretty_name: Prompts of the Exuvia unlearning benchmark
tags: [text-to-motion, unlearning]
configs:
{configs}
---

# Prompts of the Exuvia unlearning benchmark

{count} English prompts for text-to-motion generators, of {kinds} kinds (fingerprint {fingerprint}). Some ask for
violence by one person without an opponent; that is what they test.

| kind | prompts | how they were written |
|---|---|---|
{rows}

`violent` says whether a prompt asks for violence, `fires` whether a keyword filter stops it, and `source` which
prompt it was made from. Load one kind with `datasets.load_dataset(FOLDER, "explicit")`.
"""


def export_prompts(out: str | Path, *, overwrite: bool = False) -> Path:
    """Write one file of JSON lines per kind of prompt, and a card that names licence and kinds. Raises OutputError."""
    files = library()
    configs = "\n".join(f"- config_name: {kind}\n  data_files: {kind}.jsonl" for kind in files)
    rows = "\n".join(f"| {kind} | {len(file.prompts)} | {file.written} |" for kind, file in files.items())
    facts = {"count": sum(len(file.prompts) for file in files.values()), "kinds": len(files)}
    with whole_folder(out, FOLDER, overwrite=overwrite) as folder:
        for kind, file in files.items():
            lines = [json.dumps(asdict(prompt), ensure_ascii=False) for prompt in file.prompts]
            write_text(folder / f"{kind}.jsonl", "\n".join(lines) + "\n")
        write_text(folder / "README.md", _CARD.format(configs=configs, rows=rows, fingerprint=fingerprint(), **facts))
    return Path(out)
