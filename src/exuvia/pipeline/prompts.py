"""Checks of prompts."""

from collections.abc import Sequence

from exuvia.errors import ConfigError

MAX_PROMPT_CHARACTERS = 2000


def check_prompts(prompts: Sequence[str]) -> None:
    """Raise ConfigError for an empty list, an empty prompt, or one longer than any motion caption."""
    if not prompts:
        raise ConfigError("found no prompt, expected at least one")
    for prompt in prompts:
        if not prompt.strip():
            raise ConfigError("found an empty prompt, expected a sentence such as 'a person walks forward'")
        if len(prompt) > MAX_PROMPT_CHARACTERS:
            size = f"{len(prompt.split())} words ({len(prompt)} characters)"
            raise ConfigError(f"found a prompt of {size}, expected at most {MAX_PROMPT_CHARACTERS} characters")
