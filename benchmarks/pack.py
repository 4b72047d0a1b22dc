"""Pack trained runs to come with the package.

    python -m benchmarks.pack runs/solved/wide-ring/seed-0 wide-ring

`make study` tests that each reaches what `results/solved/` says of it.
"""

import argparse
from pathlib import Path

from mime.runs.folder import RunFolder
from mime.runs.pretrained import pack

ROOT = Path(__file__).parent.parent

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("name", help="what it will be called")
    chosen = parser.parse_args()
    pack(RunFolder(chosen.run), ROOT / "pretrained" / chosen.name)
