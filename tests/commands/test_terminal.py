"""What is printed is what was meant, whatever is in it; errors of files are told in a line."""

import errno

import pytest

from mime.commands.terminal import ProgressBar, command_line, guarded, tell, tell_where, warn
from mime.configuration.seeds import parse_seeds
from mime.errors import UserError

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
