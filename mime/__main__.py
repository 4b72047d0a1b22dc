"""`python -m mime COMMAND`, the same as `mime COMMAND`."""

import sys

from mime.runs.signals import end_when_asked


def main() -> int:
    """The console script `mime`; returns the exit status."""
    end_when_asked()
    from mime import cli  # Takes seconds, in which signals count too.

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
