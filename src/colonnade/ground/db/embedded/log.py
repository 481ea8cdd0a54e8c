"""The file that the server writes its log to: opened by us, so that the server needs no way to it, and kept small."""

import os
import re
import shutil
from pathlib import Path

LARGE = 10 * 1024 * 1024
_KEPT = 3
_COMPLAINT = re.compile(r"(?:FATAL|PANIC|ERROR|error|could not|fatal):?\s+(.*)")


class ServerLog:
    """The server's log, open for appending."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self.path = path
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self.descriptor = os.open(path, flags, 0o600)
        self.rotate_when_large()
        self._begin = path.stat().st_size

    def rotate_when_large(self) -> None:
        """Put a large log aside and go on with an empty one.

        The text is copied and cut rather than renamed: the server keeps its open file.
        """
        if os.fstat(self.descriptor).st_size < LARGE:
            return
        for number in range(_KEPT, 1, -1):
            older = self._old(number - 1)
            if older.exists():
                older.replace(self._old(number))
        shutil.copyfile(self.path, self._old(1))
        self._old(1).chmod(0o600)
        os.ftruncate(self.descriptor, 0)
        self._begin = 0

    def last_complaint(self) -> str | None:
        """What the server said last about why it cannot go on, since this log was opened."""
        with self.path.open("rb") as file:
            file.seek(self._begin)
            lines = file.read().decode("utf-8", "replace").splitlines()
        fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
        for line in reversed(fatal or lines):
            match = _COMPLAINT.search(line)
            if match:
                return match[1].strip().rstrip(".") if fatal else line.strip().rstrip(".")
        return None

    def close(self) -> None:
        """Let go of the file; the server's own hold on it is not touched."""
        os.close(self.descriptor)

    def _old(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
