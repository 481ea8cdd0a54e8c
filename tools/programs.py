"""Finds what tests need that is no Python: Debian's packages, installed when this is root, loudly missed otherwise."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}


@dataclass(frozen=True)
class Program:
    """What a kind of tests needs, what it may be called, and the packages that bring it."""

    tests: str
    names: tuple[str, ...]
    packages: tuple[str, ...]

    def is_there(self) -> bool:
        """Whether it is on the path."""
        return any(shutil.which(name) for name in self.names)

    def install(self) -> None:
        """Install it, quietly; needs root and apt-get."""
        print(f"Installing {self.packages[0]} for the {self.tests} tests ...", flush=True)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *self.packages]
        subprocess.run(command, check=False, **QUIET)  # type: ignore[call-overload]

    def miss(self) -> None:
        """Say that it is not there, so that nobody takes what is skipped for tested."""
        told = f"NOT THERE: {self.names[0]}; the {self.tests} tests are skipped. As root: apt-get install"
        print(told, *self.packages, file=sys.stderr)


PROGRAMS = (
    Program("browser", ("chromium", "chromium-browser", "google-chrome"), ("chromium", "fonts-dejavu-core")),
    Program("spreadsheet", ("soffice", "libreoffice"), ("libreoffice-calc-nogui",)),
)


def main() -> int:
    """0 when all is there, or when tests may be skipped; 1 in CI, where nothing is skipped."""
    lacking = [program for program in PROGRAMS if not program.is_there()]
    if lacking and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=False, **QUIET)  # type: ignore[call-overload]
        for program in lacking:
            program.install()
    missed = [program for program in lacking if not program.is_there()]
    for program in missed:
        program.miss()
    return 1 if missed and os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
