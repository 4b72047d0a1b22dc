"""Signals end a run: between two iterations, or from a thread when the process does nothing that can be interrupted."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from mime.runs import signals
from mime.runs.folder import RunFolder
from mime.runs.run import Run
from mime.runs.setup import set_up
from mime.runs.signals import INTERRUPTED, STOPPING, stop_requested
from tests.conftest import ROOT
from tests.small_runs import small

# Like a compiled program: one call, in which Python's own signal handlers do not run.
HANGING = """
import hashlib, sys
from mime.runs.signals import end_when_asked, stop_requested

end_when_asked()
with stop_requested(lambda: print("saved", flush=True)):
    print("begun", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2**31 - 1)
"""


pytestmark = pytest.mark.usefixtures("no_signal_ignored")


@pytest.mark.parametrize("number", STOPPING)
def test_each_asks_to_stop_and_a_second_one_later_interrupts(number, monkeypatch):
    before = {each: signal.getsignal(each) for each in STOPPING}
    with stop_requested() as stop:
        for _ in range(2):  # A terminal that closes sends two.
            os.kill(os.getpid(), number)
            time.sleep(0.01)
        assert stop.is_set()
        monkeypatch.setattr(signals, "ONE", 0.0)
        with pytest.raises(KeyboardInterrupt):
            interrupted(number)
    assert {each: signal.getsignal(each) for each in STOPPING} == before


def interrupted(number):
    os.kill(os.getpid(), number)
    time.sleep(1)


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_requested() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.01)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", STOPPING)
def test_before_there_is_anything_to_save_a_line_says_so(number):
    """As while modules are imported, where nobody catches the interruption."""
    code = "import os, time; from mime.runs.signals import end_when_asked; end_when_asked(); "
    code += f"os.kill(os.getpid(), {int(number)}); time.sleep(5)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (INTERRUPTED, "interrupted\n")


@pytest.mark.parametrize(("first", "second"), [(signal.SIGINT, None), (signal.SIGTERM, signal.SIGUSR1)])
def test_a_process_that_hangs_in_a_call_is_saved_and_ended(first, second):
    process = subprocess.Popen([sys.executable, "-c", HANGING], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "begun\n"
        begun = time.monotonic()
        process.send_signal(first)
        if second is not None:
            time.sleep(signals.ONE + 0.2)
            process.send_signal(second)
        assert process.communicate(timeout=60)[0] == "saved\n"
        assert process.returncode == INTERRUPTED
        assert (time.monotonic() - begun < signals.PATIENCE) == (second is not None)
    finally:
        process.kill()


def test_nothing_is_recorded_after_what_is_there_was_saved_for_good(tmp_path):
    """A process that ends a moment later would lose it."""
    run = Run(small(), RunFolder(tmp_path), 0, set_up(small(), 0), resume=False, warn=lambda message: None)
    run.begin()
    saving = threading.Thread(target=run.finish_for_good)
    saving.start()
    saving.join()
    recording = threading.Thread(target=run.advance, args=(None, {}, None, None, 0.0), daemon=True)
    recording.start()
    recording.join(0.5)
    assert recording.is_alive()
    run.close()
