"""Generators on the Hugging Face hub: the folder of `save_pretrained` with a model card, pushed in one commit.

The head of the card follows the hub's documentation, "Model Cards": licence, library, tags.
"""

import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exuvia.errors import ConfigError, OutputError
from exuvia.files import MARKER
from exuvia.pipeline.pipeline import MotionPipeline
from exuvia.readers import read_utf8

TAGS = ["text-to-motion", "human-motion"]


def push_to_hub(
    pipe: MotionPipeline, name: str, *, licence: str = "", private: bool = False, token: str | None = None
) -> str:
    """Push a generator to the Hugging Face hub, where `MotionPipeline.from_pretrained(name)` finds it.

    Args:
        pipe: the generator
        name: OWNER/NAME; the repository is created if there is none
        licence: an identifier of the hub, such as "mit" or "cc-by-nc-4.0"; "" keeps the one that the card names
        private: whether a new repository is private
        token: access token; None: that of `hf auth login` or of the variable HF_TOKEN
    Returns:
        the address of the commit
    Raises:
        ConfigError: the name is not OWNER/NAME, no licence is known, the card names another one, or huggingface_hub is
            missing.
        OutputError: the hub refuses the name, the token or the files, or cannot be reached.
    """
    if find_spec("huggingface_hub") is None:
        raise ConfigError("pushing to the hub needs huggingface_hub; run: pip install 'exuvia[hub]'")
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise ConfigError(f"found the name {name!r}, expected OWNER/NAME, such as my-team/momask-safe")
    card = model_card(pipe, name, licence)
    refusals: Any = (*HfHubHTTPError.__bases__, OSError, ValueError)  # the bases: what the HTTP library raises
    with TemporaryDirectory() as place:
        folder = replace(pipe, card=card).save_pretrained(Path(place) / "model")
        api = HfApi(token=token, library_name="exuvia")
        try:
            api.create_repo(name, private=private, exist_ok=True)
            message = f"Upload a text-to-motion generator with {len(pipe.provenance.get('edits', []))} edits"
            done = api.upload_folder(repo_id=name, folder_path=folder, ignore_patterns=[MARKER], commit_message=message)
        except refusals as error:
            reason = str(error).partition("\n")[0][:200] or type(error).__name__
            raise OutputError(f"the hub did not take {name!r}: {reason}") from None
    return str(done.commit_url)


def model_card(pipe: MotionPipeline, name: str, licence: str = "") -> str:
    """The generator's card with the hub's head; see `push_to_hub`. Raises ConfigError."""
    from huggingface_hub import ModelCard

    text = pipe.card if pipe.card.startswith("---") else f"---\nlanguage: en\n---\n{pipe.card}"
    card = ModelCard(text, ignore_metadata_errors=True)
    known = card.data.get("license")
    if not (licence or known):
        raise ConfigError("the generator's card names no licence; say under which terms you share the weights")
    if licence and known not in (None, licence):
        terms = card.data.get("license_name") or known
        raise ConfigError(f"found the licence {licence!r}, but the weights' card says {terms!r}; edit README.md first")
    card.data["license"] = licence or known
    card.data["library_name"] = "exuvia"
    wanted = TAGS + ["motion-unlearning"] * bool(pipe.provenance.get("edits"))
    card.data["tags"] = [*(tag for tag in card.data.get("tags") or () if tag not in wanted), *wanted]
    use = read_utf8(Path(__file__).with_name("use.md"), "text").format(name=name)
    title = "" if card.text.strip().startswith("# ") else f"# {name}\n\n"
    return f"---\n{card.data.to_yaml()}\n---\n\n{title}{card.text.strip()}\n\n{use}"
