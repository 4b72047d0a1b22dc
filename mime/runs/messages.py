"""What the library has to say while a run goes on: its loggers' messages, in the run's log."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager

LIBRARY = "mime"


@contextmanager
def messages_to(log: Callable[[str], None], warn: Callable[[str], None] = lambda message: None) -> Generator[None]:
    """Pass on what the library's loggers say.

    Args:
        log: Gets every message.
        warn: Gets those that the user should see at once.
    """
    handler = _Messages(log, warn)
    logger = logging.getLogger(LIBRARY)
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


class _Messages(logging.Handler):
    def __init__(self, log: Callable[[str], None], warn: Callable[[str], None]):
        super().__init__()
        self._log, self._warn = log, warn

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        self._log(f"  {message}")
        if record.levelno >= logging.WARNING:
            self._warn(message)
