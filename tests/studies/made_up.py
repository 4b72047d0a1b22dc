"""Runs that nobody made: their files, with numbers that can be computed by hand."""

import json


def table(path, columns):
    """A CSV file of columns."""
    rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values()))]
    path.write_text("\n".join(rows) + "\n")


def made_up(folder, *, returns=(1.0, 2.0), tested=(5.0, 7.0), planned=None, method="MAML", steps=100):
    """A run that had those returns after adaptation in each iteration, and in tests before and after one step.

    Success is a tenth of the return; `planned` iterations stand in `config.json`, by default those that it has.
    """
    folder.mkdir(parents=True)
    count = len(returns)
    counters = {"TotalEnvSteps": [steps * n for n in range(1, count + 1)], "Iteration": range(1, count + 1)}
    table(folder / "train_result.csv", counters | metrics("Train-0", [0.0] * count) | metrics("Valid", returns))
    if tested:
        before, after = tested
        columns = {"Batch": [1, 2], "TotalEnvSteps": [9, 9]}
        # Two batches, whose mean is what was asked for.
        columns |= metrics("Train-0", [before - 1, before + 1]) | metrics("Valid", [after - 1, after + 1])
        table(folder / "test_result.csv", columns)
    start = {"command": ["mime", "train", "--seed", "0"], "versions": {"mime": "0"}, "git": None, "hardware": {}}
    keys = {"env-name": "2DNavigation-v0", "num-batches": planned or count, "pre-epochs": 0}
    document = {"method": method, "seed": 0, "experiment": keys, "history": [start]}
    (folder / "config.json").write_text(json.dumps(document))
    return folder


def metrics(stage, returns):
    return {f"{stage}/Returns": returns, f"{stage}/Success": [value / 10 for value in returns]}
