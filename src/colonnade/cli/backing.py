"""The commands `backup` and `restore`: a whole installation into one file, and out of it into an empty folder."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from colonnade.cli.archives import DUMP, FORMER_SECRETS, PUBLISHED, SECRET, Archive, BadArchive, Manifest, Packer
from colonnade.cli.console import err, fail
from colonnade.cli.dumping import ToolFailed, dump, load
from colonnade.cli.runtime import bring_up_to_date, database_running, explained
from colonnade.ground.core.instants import format_instant
from colonnade.ground.db import embedded
from colonnade.ground.db.migrating import migrations
from colonnade.settings import Settings, fingerprints_of

_UNIMPORTANT: Final = frozenset({"lost+found"})
"""What an empty disk holds of its own."""


def back_up(settings: Settings, target: Path) -> Manifest:
    """Write the whole installation, of one instant, to a new file that its owner alone can read.

    Works while `up` runs. An external database is backed up where it is run; this refuses.
    """
    with explained(), _explained():
        _require_embedded(settings)
        if target.exists():
            fail(f"{target} is there already; choose another name.")
        if not (settings.data / "pg").exists():
            fail(f"There is no installation in {settings.data}.")
        with database_running(settings), tempfile.TemporaryDirectory(dir=target.absolute().parent) as scratch:
            return _pack(settings, target.absolute(), Path(scratch))


def _pack(settings: Settings, target: Path, scratch: Path) -> Manifest:
    with err.status("Writing the backup …"), Packer(target) as packer:
        rows, newest = asyncio.run(dump(settings.data, scratch / DUMP))
        packer.add(DUMP, scratch / DUMP)
        if settings.secret_key is None:
            packer.add(SECRET, settings.secret_file)
        if settings.former_secrets_file.exists():
            packer.add(FORMER_SECRETS, settings.former_secrets_file)
        for path in _published(settings.published):
            packer.add(f"{PUBLISHED}/{path.relative_to(settings.published).as_posix()}", path)
        manifest = Manifest(
            colonnade=version("colonnade"),
            made_at=format_instant(datetime.now(UTC)),
            migration=newest,
            secret="setting" if settings.secret_key is not None else "file",
            fingerprint=fingerprints_of(settings)[0],
            rows=rows,
            files=packer.digests,
        )
        packer.finish(manifest)
    return manifest


def _published(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def restore(settings: Settings, source: Path) -> Manifest:
    """Make an installation from a backup in an empty data folder, and bring it to this version.

    Everything is built beside and checked (digests, the secret, the rows of every table) before it takes its place;
    when something is wrong the folder is left empty.
    """
    with explained(), _explained():
        _require_embedded(settings)
        archive = Archive(source)
        try:
            _require_fitting(settings, archive.manifest)
            with _empty_folder(settings):
                _build(settings, archive)
        finally:
            archive.close()
    return archive.manifest


@contextlib.contextmanager
def _empty_folder(settings: Settings) -> Iterator[None]:
    """A place to build in, inside the data folder; what it holds then moves out, or all of it goes."""
    existed = settings.data.exists()
    if existed and {entry.name for entry in settings.data.iterdir()} - _UNIMPORTANT:
        fail(f"{settings.data} is not empty; a backup is restored into an empty data folder only.")
    settings.half_restored.mkdir(mode=0o700, parents=True)
    if not existed:
        settings.data.chmod(0o700)
    _same_owner(settings.data, settings.half_restored)
    try:
        yield
        _move_out(settings)
    except BaseException:
        shutil.rmtree(settings.half_restored, ignore_errors=True)
        if not existed:
            settings.data.rmdir()
        raise


def _same_owner(folder: Path, inner: Path) -> None:
    if os.geteuid() == 0:
        status = folder.stat()
        os.chown(inner, status.st_uid, status.st_gid)


def _move_out(settings: Settings) -> None:
    """By renames inside one file system; the place itself goes last, so one that was cut off is noticed."""
    for entry in sorted(settings.half_restored.iterdir()):
        entry.rename(settings.data / entry.name)
    settings.half_restored.rmdir()


def _build(settings: Settings, archive: Archive) -> None:
    inner = settings.model_copy(update={"data_dir": settings.half_restored})
    with err.status("Unpacking the backup …"):
        for name in archive.names():
            archive.unpack(name, inner.data / name)
    if archive.manifest.fingerprint not in fingerprints_of(inner):
        raise BadArchive("The secret in the backup is not the one that it was made with.")
    cluster = embedded.start(inner.data, account=settings.database_user)
    try:
        with err.status("Filling the database …"):
            rows = asyncio.run(load(inner.data, inner.data / DUMP))
        _require_same(archive.manifest.rows, rows)
        asyncio.run(bring_up_to_date(inner))
    finally:
        cluster.stop()
    for name in (DUMP, "lock"):
        (inner.data / name).unlink(missing_ok=True)


def _require_same(wanted: Any, found: Any) -> None:
    wrong: Sequence[str] = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    if wrong:
        raise BadArchive(f"After restoring, these tables do not have the rows they had: {', '.join(wrong)}.")


def _require_embedded(settings: Settings) -> None:
    if settings.database_url is not None:
        fail(
            "The database is an external one: back it up and restore it with the means of whoever runs it, and keep"
            f" {settings.secret_file} and {settings.published} besides."
        )


def _require_fitting(settings: Settings, manifest: Manifest) -> None:
    newest = migrations()[-1].number
    if manifest.migration > newest:
        fail(
            f"This backup was made by Colonnade {manifest.colonnade}, whose database is newer than this version's"
            f" (migration {manifest.migration}, here {newest}). Restore it with that version or a later one."
        )
    given = settings.secret_key is not None
    if manifest.secret == "setting" and not given:  # noqa: S105 (the name of a place)
        fail(
            "The secret of this installation was given by a setting and is not in the backup: set COLONNADE_SECRET_KEY."
        )
    if given and manifest.fingerprint not in fingerprints_of(settings):
        fail("COLONNADE_SECRET_KEY is not the secret that this backup was made with; no key of it would be valid.")


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (BadArchive, ToolFailed) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or 'A file'}: {error.strerror or error}.")
