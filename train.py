"""Meta-train a policy: `python train.py --help`."""

import sys

from mime.cli import train

if __name__ == "__main__":
    sys.exit(train(sys.argv[1:]))
