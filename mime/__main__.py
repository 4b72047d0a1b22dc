"""The console script `mime`, also as `python -m mime`."""

import sys

from mime.runs.signals import end_when_asked


def main() -> int:
    """Runs the command that was asked for; returns the exit status."""
    end_when_asked()
    from mime.cli import main  # Takes seconds, in which signals count too.

    return main()


if __name__ == "__main__":
    sys.exit(main())
