"""One file that holds a whole installation: a tar of the database's dump, the secret, the published posts, a manifest.

The manifest stands last and names every other member with its SHA-256. Nothing here speaks to a database.
"""

import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, Protocol

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DUMP: Final = "database.dump"
SECRET: Final = "secret.key"  # noqa: S105 (the name of a file)
FORMER_SECRETS: Final = "former-secrets.json"
PUBLISHED: Final = "published"
_CHUNK: Final = 1 << 20


class BadArchive(Exception):
    """The file is no backup, or not the one that was written; the sentence says what is wrong."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says about itself."""

    colonnade: str
    made_at: str
    migration: int
    secret: str
    """`file`: the secret is in the backup; `setting`: it is not, since a setting gives it."""
    fingerprint: str
    rows: Mapping[str, int]
    """How many rows each table had."""
    files: Mapping[str, str]
    """The SHA-256 of every member."""
    format: int = FORMAT


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Hashed:
    """Takes the digest of what is read through it."""

    def __init__(self, source: _Readable) -> None:
        self._source = source
        self._digest = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes."""
        chunk = self._source.read(size)
        self._digest.update(chunk)
        return chunk

    @property
    def sha256(self) -> str:
        """The digest of all that was read so far."""
        return self._digest.hexdigest()


class Packer:
    """Writes an archive member by member; it gets its name only when it is whole."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._draft = target.with_name(f".{target.name}.{os.getpid()}.partial")
        self.digests: dict[str, str] = {}

    def __enter__(self) -> "Packer":
        descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)
        return self

    def add(self, name: str, path: Path) -> None:
        """Put a file into the archive; one that is written meanwhile is taken as it was when it was opened."""
        with path.open("rb") as file:
            member = self._tar.gettarinfo(arcname=name, fileobj=file)
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            hashed = _Hashed(file)
            self._tar.addfile(member, hashed)
        self.digests[name] = hashed.sha256

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest and give the archive its name, safe from a power cut."""
        text = json.dumps(asdict(manifest), indent=2).encode() + b"\n"
        member = tarfile.TarInfo(MANIFEST)
        member.size, member.mode, member.mtime = len(text), 0o600, int(time.time())
        self._tar.addfile(member, io.BytesIO(text))
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        os.link(self._draft, self._target)

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._draft.unlink(missing_ok=True)


class Archive:
    """An archive that is read; its members leave it only when their digest is right and their place is inside."""

    def __init__(self, path: Path) -> None:
        try:
            self._tar = tarfile.open(path, mode="r:")  # noqa: SIM115 (closed by `close`)
        except (OSError, tarfile.TarError) as error:
            raise BadArchive(f"{path} is no backup of Colonnade, or it was cut off: {error}.") from error
        try:
            self._members = {member.name: member for member in self._tar.getmembers()}
            self.manifest = self._read_manifest()
            self._require_complete(path)
        except (OSError, tarfile.TarError, ValueError, TypeError, KeyError) as error:
            self.close()
            raise BadArchive(f"{path} is no backup of Colonnade, or it was cut off: {error}.") from error
        except BadArchive:
            self.close()
            raise

    def close(self) -> None:
        """Be done with it."""
        self._tar.close()

    def names(self) -> Iterator[str]:
        """Every member besides the manifest."""
        return iter(self.manifest.files)

    def unpack(self, name: str, target: Path) -> None:
        """Write a member to this place, readable for its owner alone."""
        source = self._tar.extractfile(self._members[name])
        assert source is not None, "a member that is a file gave none"
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        hashed = _Hashed(source)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            _copy(hashed, file)
        if hashed.sha256 != self.manifest.files[name]:
            raise BadArchive(f"The backup is damaged: {name} is not what was written.")

    def _read_manifest(self) -> Manifest:
        source = self._tar.extractfile(MANIFEST)
        read: dict[str, Any] = json.loads(source.read()) if source is not None else {}
        if read.get("format") != FORMAT:
            raise ValueError("its format is not one that this version knows")
        return Manifest(**read)

    def _require_complete(self, path: Path) -> None:
        if set(self._members) != {*self.manifest.files, MANIFEST} or DUMP not in self._members:
            raise BadArchive(f"{path} holds other files than its manifest says.")
        for name, member in self._members.items():
            if not member.isfile() or not _is_inside(name):
                raise BadArchive(f"{path} holds something that no backup holds: {name!r}.")


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    if name in {MANIFEST, DUMP, SECRET, FORMER_SECRETS}:
        return True
    return path.parts[:1] == (PUBLISHED,) and len(path.parts) > 1 and ".." not in path.parts and "\0" not in name


def _copy(source: _Readable, target: IO[bytes]) -> None:
    while chunk := source.read(_CHUNK):
        target.write(chunk)
    target.flush()
    os.fsync(target.fileno())
