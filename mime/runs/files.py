"""Files that are never torn: whole under their final name, or grown by whole lines."""

import errno
import hashlib
import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that any reader, at any time and after any crash, sees all of it or the version before."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def digest(path: Path) -> str | None:
    """What tells a file's content from any other; None without a file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


class LineFile:
    """A text file that grows by whole lines."""

    def __init__(self, path: Path):
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    @property
    def empty(self) -> bool:
        """Whether nothing has been written."""
        return os.fstat(self._descriptor).st_size == 0

    def write(self, line: str) -> None:
        """Append a line in a single write; if not all of it fits on the disk, none of it stays.

        Raises:
            OSError: If the disk refuses it.
        """
        content = f"{line}\n".encode()
        size = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, content)
            if written < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        except OSError:
            os.ftruncate(self._descriptor, size)
            raise

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
