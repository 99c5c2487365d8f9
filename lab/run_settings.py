"""Ties a run folder to one set of settings, so that results of other settings are never mistaken for its own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exuvia.errors import ConfigError
from exuvia.files import write_json
from exuvia.readers import parse_json, read_json


def check_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings (ready for JSON) to settings.json, or compare them with those stored there.

    Raises:
        ConfigError: the folder has other settings; the first few that differ are named.
    """
    path, wanted = folder / "settings.json", parse_json(json.dumps(settings), "these settings")
    if not path.is_file():
        write_json(path, wanted)
        return
    kept = read_json(path)
    if kept != wanted:
        old, new = _flat(kept), _flat(wanted)
        names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        shown = ", ".join(f"{name} {old.get(name)} there and {new.get(name)} here" for name in names[:3])
        raise ConfigError(f"{folder} was made with other settings ({shown}); name another folder with --out")


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {
        name: leaf for key, part in tree.items() for name, leaf in _flat(part, f"{prefix}.{key}".strip(".")).items()
    }
