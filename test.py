"""Test a trained run: `python test.py --help`."""

import sys

from mime.cli import test

if __name__ == "__main__":
    sys.exit(test(sys.argv[1:]))
