"""The door of `python -m meshsim` and of the `meshsim` command."""

from __future__ import annotations

import sys

from meshsim.cli import main as run


def main() -> None:
    """Runs the command line and leaves with its exit code."""
    sys.exit(run())


if __name__ == "__main__":
    main()
