"""Errors that are told in one message, without a traceback."""


class UserError(Exception):
    """Something the user asked for cannot be done. The message says what, why, and the way out."""

    exit_code = 2


def require(name: str, value: float | int | None, *, at_least: int) -> None:
    """Refuse an option's value that is too small.

    Raises:
        UserError: If it is; None is not.
    """
    if value is not None and not value >= at_least:
        raise UserError(f"--{name.replace('_', '-')}: {value} should be {at_least} or more")


class Failure(Exception):
    """Something broke that the user did not ask for, like a full disk. The message says what is kept."""

    exit_code = 1


def install(extra: str) -> str:
    """How to get what an extra of the package needs, for a message."""
    return f"in MIME's folder, pip install '.[{extra}]'"
