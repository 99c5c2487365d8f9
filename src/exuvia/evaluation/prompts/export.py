"""The benchmark's prompts as a folder that the `datasets` library and any reader of JSON lines can load."""

import json
from dataclasses import asdict
from pathlib import Path

from exuvia.evaluation.prompts.load import fingerprint, library
from exuvia.files import whole_folder, write_text
from exuvia.readers import read_utf8

FOLDER = "prompt export"
"""What `export_prompts` makes, for `files.check_folder`."""


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
        card = read_utf8(Path(__file__).with_name("card.md"), "card")
        write_text(folder / "README.md", card.format(configs=configs, rows=rows, fingerprint=fingerprint(), **facts))
    return Path(out)
