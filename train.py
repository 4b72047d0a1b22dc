"""Meta-train a policy: `python train.py --help`."""

import sys

from mime.runs.signals import end_when_asked

if __name__ == "__main__":
    end_when_asked()
    from mime.cli import train  # Takes seconds, in which signals count too.

    sys.exit(train(sys.argv[1:]))
