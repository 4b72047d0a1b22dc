"""Options: mistakes in a line, how the next command is called; what is printed is what was meant, whatever is in it."""

import errno
import sys

import pytest

from mime.commands import train
from mime.commands.terminal import ProgressBar, command_line, console, guarded, next_command, tell, tell_where, warn
from mime.configuration.seeds import parse_seeds
from mime.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fast-lr", "abc"], r"^--fast-lr: could not convert string to float: 'abc'\. All options: "),
        (["--gama", "1"], r"^Unrecognized options: --gama, 1; did you mean --gamma\? All options: "),
        (["--nonlinearity", "foo"], "^invalid choice 'foo' for argument '--nonlinearity'"),
        (["--output-folder"], "^--output-folder.*: expected one argument$"),
        (["--seed", "x"], "^--seed: invalid int value: 'x'$"),
        (["--method", "foo"], "^--method: invalid choice: 'foo'"),
        (["--method", "mime", "--ray-address", "local"], "^ray-address: 2DNavigation-v0 is written in JAX"),
        (["--bonus", "rnd"], "^bonus: has no effect on MAML; add use-vime"),
        (["--bonus", "foo"], "^bonus: 'foo' is not a bonus; allowed are information-gain"),
        (["--method", "pearl"], "^--method: pearl has no configuration of 2d-navigation-dense$"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, words, tmp_path):
    with pytest.raises(UserError, match=words) as caught:
        train.parse(["dense", "--output-folder", str(tmp_path / "run"), *arguments])
    assert len(str(caught.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_and_a_method_by_name(tmp_path):
    command = train.parse(["solved/wide-ring", "--method", "maml", "--output-folder", str(tmp_path)])
    assert command.experiment.method == "MAML"
    assert command.experiment.latent_draws == "together"
    command = train.parse(["--env-name", "MetaPendulum-v0", "--method", "mime", "--output-folder", str(tmp_path)])
    assert command.experiment.method == "MIME"


def test_lines_of_several_seeds_say_which():
    row = {"Iteration": 1, "TotalEnvSteps": 9, "Train-0/Returns": 0.0, "Valid/Returns": 0.0}
    row |= {"Train-0/Success": float("nan"), "Valid/Success": 0.5}
    with console.capture() as captured, ProgressBar("meta-iterations", 2, log_every=1) as advance:
        advance(row | {"Seed": 3})
        advance(row)
    lines = [line for line in captured.get().splitlines() if "steps 9" in line]
    assert [line.split("  ")[0] for line in lines] == ["seed 3", "1/2"]
    assert "success - → 50%" in lines[0]


@pytest.mark.parametrize(
    ("started", "expected"),
    [("/usr/bin/mime", "mime test --output-folder 'a b'"), ("x/train.py", "python x/test.py --output-folder 'a b'")],
)
def test_the_next_command_is_one_that_is_there(started, expected, monkeypatch):
    monkeypatch.setattr(sys, "argv", [started])
    assert next_command("test", "--output-folder", "a b") == expected


NAMES = ["a[/x]", "[lr=0.1]", "[bold]", "a b's"]


@pytest.mark.parametrize("name", NAMES)
def test_paths_are_printed_as_they_are(name, capsys):
    tell_where(numbers=f"runs/{name}/train_result.csv")
    tell(f"runs/{name}: no such folder")
    warn(f"runs/{name}: is unfinished")
    printed = capsys.readouterr()
    assert f"runs/{name}/train_result.csv" in printed.out
    assert printed.err.splitlines() == [f"error runs/{name}: no such folder", f"runs/{name}: is unfinished"]


def test_commands_can_be_copied_into_a_shell():
    assert command_line("mime", "test", "--output-folder", "a b's") == """mime test --output-folder 'a b'"'"'s'"""
    assert command_line("mime", "test", "runs/maml") == "mime test runs/maml"


def test_files_that_cannot_be_used_are_told_in_a_line(capsys):
    def command(arguments):
        raise OSError(errno.EROFS, "Read-only file system", "runs/maml/.lock")

    assert guarded(command, []) == 1
    assert capsys.readouterr().err == "error runs/maml/.lock: cannot be used: Read-only file system\n"


def test_small_returns_are_shown(capsys):
    row = {f"{stage}/{name}": 2e-6 for stage in ("Train-0", "Valid") for name in ("Returns", "Success")}
    with ProgressBar("meta-iterations", 1, log_every=1) as advance:
        advance(row | {"Iteration": 1, "TotalEnvSteps": 10})
    assert "return 2e-06 → 2e-06" in capsys.readouterr().out


def test_more_seeds_than_anybody_means_are_refused():
    with pytest.raises(UserError, match="more than 10000"):
        parse_seeds("0-99999999999")
