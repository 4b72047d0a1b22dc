"""Test a trained run: `python test.py --help`."""

import sys

from mime.runs.signals import end_when_asked

if __name__ == "__main__":
    end_when_asked()
    from mime.cli import test  # Takes seconds, in which signals count too.

    sys.exit(test(sys.argv[1:]))
