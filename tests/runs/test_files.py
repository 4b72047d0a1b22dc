"""Files are whole or absent, lines are whole or absent."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from mime.runs.files import LineFile, write_atomically


@pytest.fixture
def file_size_limit():
    """Files of this process cannot grow beyond a limit: a full disk without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, previous)


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_the_old_file(tmp_path, file_size_limit):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    file_size_limit(1000)
    with pytest.raises(OSError, match="too large"):
        write_atomically(path, b"x" * 2000)
    assert path.read_bytes() == b"old"


def test_a_kill_never_leaves_half_a_file(tmp_path):
    path = tmp_path / "file"
    program = (
        "import sys; from pathlib import Path; from mime.runs.files import write_atomically\n"
        "path = Path(sys.argv[1])\n"
        "while True:\n"
        "    for letter in b'ab': write_atomically(path, bytes([letter]) * 3_000_000)\n"
    )
    for pause in (0.0, 0.003, 0.007, 0.011):
        process = subprocess.Popen([sys.executable, "-c", program, str(path)])
        while not path.exists():
            time.sleep(0.01)
        time.sleep(pause)
        process.kill()
        process.wait()
        assert path.read_bytes() in (b"a" * 3_000_000, b"b" * 3_000_000)
        path.unlink()


def test_lines_are_appended(tmp_path):
    path = tmp_path / "lines"
    for content in ("one", "two"):
        file = LineFile(path)
        assert file.empty == (content == "one")
        file.write(content)
        file.close()
    assert path.read_text() == "one\ntwo\n"


def test_a_line_that_does_not_fit_leaves_no_part_of_itself(tmp_path, file_size_limit):
    path = tmp_path / "lines"
    file = LineFile(path)
    file.write("whole")
    file_size_limit(os.path.getsize(path) + 3)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        file.write("torn")
    assert path.read_text() == "whole\n"
