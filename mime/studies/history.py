"""What a study was asked to do: `study.json` in its folder."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mime.runs.files import write_atomically
from mime.studies.plan import PlannedRun

NAME = "study.json"


def record(folder: Path, arguments: Sequence[str], runs: Sequence[PlannedRun]) -> None:
    """Add a command and the runs it asks for to the study's history."""
    document = read(folder)
    planned = {f"{run.experiment}/{run.method}/seed-{run.seed}": None for run in runs}
    started = datetime.now(UTC).isoformat(timespec="seconds")
    document = {
        "commands": [*document["commands"], {"command": ["mime", "study", *arguments], "started": started}],
        "runs": list(dict.fromkeys([*document["runs"], *planned])),
    }
    write_atomically(folder / NAME, json.dumps(document, indent=2).encode())


def read(folder: Path) -> dict[str, Any]:
    """The study's commands, and the folders of the runs that they asked for; both empty if nothing is known."""
    try:
        document = json.loads((folder / NAME).read_bytes())
        return {"commands": list(document["commands"]), "runs": list(document["runs"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"commands": [], "runs": []}
