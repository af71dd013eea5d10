"""``python -m kouxing`` and the ``kouxing`` command."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from kouxing.cli.app import run

    sys.exit(run())


if __name__ == "__main__":
    main()
