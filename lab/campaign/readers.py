"""All targets of damaged files, by name."""

from lab.campaign import models
from lab.campaign.targets import TARGET, enter_settings, enter_texts

__all__ = ["TARGET", "models"]

enter_texts()
enter_settings()
