"""Runs that nobody made: their files, with numbers that can be computed by hand."""

import json
import re

from mime.sampling.episodes import stage_names


def table(path, columns):
    """A CSV file of columns."""
    rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values()))]
    path.write_text("\n".join(rows) + "\n")


def made_up(
    folder, *, returns=(1.0, 2.0), tested=(5.0, 7.0), planned=None, method="MAML", steps=100, seed=None, keys=None
):
    """A run that had those returns after adaptation in each iteration, and in tests before and after each step.

    Success is a tenth of the return; `planned` iterations stand in `config.json`, by default those that it has. The
    seed is the number at the end of the folder's name, or 0.
    """
    folder.mkdir(parents=True)
    count = len(returns)
    counters = {"TotalEnvSteps": [steps * n for n in range(1, count + 1)], "Iteration": range(1, count + 1)}
    table(folder / "train_result.csv", counters | metrics("Train-0", [0.0] * count) | metrics("Valid", returns))
    if tested:
        columns = {"Batch": [1, 2], "TotalEnvSteps": [9, 9]}
        for stage, value in zip(stage_names(len(tested) - 1), tested):
            # Two batches, whose mean is what was asked for.
            columns |= metrics(stage, [value - 1, value + 1])
        table(folder / "test_result.csv", columns)
    start = {"command": ["mime", "train", "--seed", "0"], "versions": {"mime": "0"}, "git": None, "hardware": {}}
    number = re.search(r"\d*$", folder.name)[0]
    seed = int(number or 0) if seed is None else seed
    keys = {"env-name": "2DNavigation-v0", "num-batches": planned or count, "pre-epochs": 0} | (keys or {})
    document = {"method": method, "seed": seed, "experiment": keys, "history": [start]}
    (folder / "config.json").write_text(json.dumps(document))
    return folder


def metrics(stage, returns):
    return {f"{stage}/Returns": returns, f"{stage}/Success": [value / 10 for value in returns]}
