"""The program ``graphkit``, and ``python -m graphkit``: the command line of the Python that runs it."""

from __future__ import annotations

import os
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line on the process's own arguments and exit; see :func:`graphkit.cli.main`."""
    try:
        from graphkit.cli import main as run
    except KeyboardInterrupt:
        os.write(2, b"graphkit: interrupted.\n")
        os._exit(130)
    run()


if __name__ == "__main__":
    main()
