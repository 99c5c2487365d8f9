"""Which licences of clips allow commercial use of what is learnt from them; licences.toml states the terms."""

import re
from dataclasses import dataclass

from exuvia.readers import read_table


@dataclass(frozen=True)
class Licence:
    """Terms of one kind of data, recognised by their wording."""

    name: str
    wording: str
    """Regular expression that a clip's licence contains, without regard to capitals."""
    commercial: bool
    """Whether commercial use is allowed."""
    condition: str = ""
    """What a user must do or not do."""


LICENCES = read_table(__file__, "licences.toml", Licence)


def commercial(licence: str) -> bool:
    """Whether a clip's licence allows commercial use; False for one that is missing, unknown or forbids any part."""
    found = [terms for terms in LICENCES.values() if re.search(terms.wording, licence, re.IGNORECASE)]
    return bool(found) and all(terms.commercial for terms in found)
