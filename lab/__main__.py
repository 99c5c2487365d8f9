"""The laboratory's command line: `python -m lab` lists the experiments, `python -m lab NAME --help` explains one."""

import sys
from collections.abc import Sequence

from exuvia import __main__ as product
from lab.table import COMMAND


def main(argv: Sequence[str] | None = None) -> int:
    """Run one experiment and return its exit code; `argv` without `python -m lab`."""
    return product.main(argv, commands=COMMAND, program="python -m lab")


if __name__ == "__main__":
    sys.exit(main())
