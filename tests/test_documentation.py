"""The examples in the documentation, run as they stand."""

import csv
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def test_the_environment_of_ones_own(command, tmp_path, environment_variables, monkeypatch):
    text = (DOCS / "your-own-environment.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (configuration,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "thermostat.py").write_text(program, encoding="utf-8")
    (tmp_path / "thermostat.yaml").write_text(configuration, encoding="utf-8")
    monkeypatch.setitem(environment_variables, "PYTHONPATH", str(tmp_path))
    run = tmp_path / "run"
    short = ["--num-workers", "2", "--num-batches", "2"]
    train = command("train.py", "--config", tmp_path / "thermostat.yaml", "--output-folder", run, *short)
    assert train.returncode == 0, train.stderr
    test = command("test.py", "--output-folder", run, *short, "--num-steps", "1")
    assert test.returncode == 0, test.stderr
    with open(run / "train_result.csv", encoding="utf-8") as file:
        assert all(float(row["Train-0/Returns"]) < 0 for row in csv.DictReader(file))
