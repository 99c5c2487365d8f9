"""One golden case: the tensors and settings of a reference run, and the comparison with ours."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch import Tensor, from_numpy

from exuvia.errors import DataError
from exuvia.readers import as_type, read_json, read_safetensors


@dataclass(frozen=True)
class Case:
    """A case file pair `<name>.safetensors` + `<name>.json`."""

    name: str
    tensors: dict[str, NDArray[Any]]
    meta: dict[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> "Case":
        """Read a case by its .json path. Raises DataError if either file is missing or broken."""
        path = Path(path)
        try:
            meta = as_type(dict[str, Any], read_json(path), path)
            tensors, _ = read_safetensors(path.with_suffix(".safetensors"))
        except DataError as error:
            raise DataError(f"{path} is not a golden case: {error}") from None
        return cls(path.stem, tensors, meta)

    @property
    def config(self) -> dict[str, Any]:
        """Constructor sizes and settings of the reference run."""
        return self.meta.get("config", {})

    def tensor(self, name: str) -> Tensor:
        """One tensor as a fresh torch tensor."""
        return from_numpy(self.tensors[name].copy())

    def group(self, prefix: str) -> dict[str, Tensor]:
        """All tensors whose name starts with `prefix`, the prefix removed (e.g. `sd.`)."""
        return {k[len(prefix) :]: from_numpy(v.copy()) for k, v in self.tensors.items() if k.startswith(prefix)}

    def tolerance(self, name: str) -> Any:
        """The rule for one tensor: "exact", or atol/rtol or rel_l2 in a dictionary; the most specific pattern wins."""
        if any(fnmatchcase(name, pattern) for pattern in self.meta.get("exact", [])):
            return "exact"
        rules = {p: r for p, r in self.meta.get("tolerance", {}).items() if fnmatchcase(name, p) or p == name}
        return rules[max(rules, key=lambda p: len(p.replace("*", "")))] if rules else {"atol": 1e-5, "rtol": 1e-5}
