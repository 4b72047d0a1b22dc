"""Processes that a test has started."""

from contextlib import suppress

import psutil


def running(name):
    """Those in whose command lines the name occurs; also processes that others of them have started."""
    found = []
    for child in psutil.Process().children(recursive=True):
        # One that has just ended has no command line any more.
        with suppress(psutil.Error):
            if name in " ".join(child.cmdline()):
                found.append(child)
    return found
