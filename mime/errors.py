"""Errors that are told in one message, without a traceback."""


class UserError(Exception):
    """Something the user asked for cannot be done. The message says what, why, and the way out."""

    exit_code = 2


class Failure(Exception):
    """Something broke that the user did not ask for, like a full disk. The message says what is kept."""

    exit_code = 1
