"""The file that the server writes its log to: opened by us, so that the server needs no way to it, and kept small."""

import os
import re
import shutil
from pathlib import Path

from colonnade.ground.db.embedded.refusals import CannotStart

LARGE = 10 * 1024 * 1024
_KEPT = 3
_FATAL = re.compile(r"(?:FATAL|PANIC):\s+(?!the database system is)(.+)")
_ERROR = re.compile(r"(?:ERROR|error):\s+(.+)")


class ServerLog:
    """The server's log, open for appending."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = _open_folder(path.parent)
        self.descriptor = self._open(path.name, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        self._begin = 0
        self.rotate_when_large()
        self._begin = os.fstat(self.descriptor).st_size

    def rotate_when_large(self) -> None:
        """Put a large log aside and go on with an empty one.

        The text is copied and cut rather than renamed: the server keeps its open file.
        """
        if os.fstat(self.descriptor).st_size < LARGE:
            return
        for number in range(_KEPT - 1, 0, -1):
            if self._old(number).exists():
                self._old(number).replace(self._old(number + 1))
        copy = self._open(self._old(1).name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with os.fdopen(copy, "wb") as target, self.path.open("rb") as source:
            shutil.copyfileobj(source, target)
        os.ftruncate(self.descriptor, 0)
        self._begin = 0

    def last_complaint(self) -> str | None:
        """What the server said last about why it cannot go on, since this log was opened."""
        size = os.fstat(self.descriptor).st_size
        text = os.pread(self.descriptor, max(size - self._begin, 0), self._begin).decode("utf-8", "replace")
        for pattern in (_FATAL, _ERROR):
            found = pattern.findall(text)
            if found:
                return str(found[-1]).strip().rstrip(".")
        return None

    def close(self) -> None:
        """Let go of the file; the server's own hold on it is not touched."""
        os.close(self.descriptor)
        os.close(self._folder)

    def _open(self, name: str, flags: int) -> int:
        return os.open(name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=self._folder)

    def _old(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def _open_folder(path: Path) -> int:
    # Root may work in a folder that another account owns: a link put there must not lead our writing astray.
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise CannotStart(
            f"The log folder {path} cannot be used ({error.strerror}); it must be a folder of its own, not a link."
        ) from error
