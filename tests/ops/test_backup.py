"""Backup and restore: everything comes back as it was, or nothing does."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db import embedded
from colonnade.settings import Settings, pepper_of
from tests.ops.commands import ROSTER, answer, apart, run, run_apart

_TABLES = """
select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables
where schemaname not in ('pg_catalog', 'information_schema') order by 1
"""


async def _rows(data: Path) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    connection = await asyncpg.connect(**embedded.locate(data).arguments("postgres"))
    try:
        names = [row[0] for row in await connection.fetch(_TABLES)]
        return {
            name: [row[0] for row in await connection.fetch(f"select t::text from {name} t order by 1")]
            for name in names
        }
    finally:
        await connection.close()


async def _agency_of(data: Path, key: str) -> str | None:
    """Whose key this is in the database of this folder, as a server finds out."""
    pepper: Pepper = pepper_of(Settings(data_dir=data))
    connection = await asyncpg.connect(**embedded.locate(data).arguments("colonnade_app"))
    try:
        found = await connection.fetchrow("select * from door_key($1)", pepper.digests(key))
        return None if found is None else found["agency_id"]
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """An installation with an agency, a roster of workspaces and a published post, its database running."""
    data = tmp_path_factory.mktemp("installation")
    cluster = embedded.start(data, settings={"fsync": "off"})
    made = answer(data, "agency", "create", "--name", "Nörth", "--owner-email", "o@north.example", "--credits", "7.5")
    answer(data, "import", "workspaces", ROSTER)
    place = data / "published" / "acme"
    place.mkdir(parents=True)
    (place / "ein-blick.html").write_text("<h1>Ein Blick</h1>", "utf-8")
    yield data, made
    cluster.stop()


@pytest.fixture(scope="module")
def archive(installation: tuple[Path, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its backup."""
    path = tmp_path_factory.mktemp("backups") / "all.tar"
    told = answer(installation[0], "backup", path)
    assert told["rows"] > 38
    return path


def test_every_row_every_file_and_every_key_comes_back(
    installation: tuple[Path, dict[str, str]], archive: Path, tmp_path: Path
) -> None:
    data, made = installation
    elsewhere = tmp_path / "elsewhere"
    restored = run_apart(elsewhere, "restore", archive)
    assert restored.returncode == 0, restored.stderr
    before = apart(_rows(data))
    cluster = embedded.start(elsewhere, settings={"fsync": "off"})
    try:
        after = apart(_rows(elsewhere))
        assert before.keys() == after.keys()
        assert not [name for name in before if before[name] != after[name]]
        assert apart(_agency_of(elsewhere, made["apiKey"])) == made["agencyId"]
    finally:
        cluster.stop()
    assert (elsewhere / "published" / "acme" / "ein-blick.html").read_text("utf-8") == "<h1>Ein Blick</h1>"
    assert (elsewhere / "secret.key").stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in elsewhere.iterdir() if path.name != "bin") == [
        "database.json", "lock", "log", "pg", "published", "secret.key"
    ]  # fmt: skip


def test_a_backup_is_for_its_owner_alone_and_never_written_over_another(
    installation: tuple[Path, dict[str, str]], archive: Path
) -> None:
    assert archive.stat().st_mode & 0o777 == 0o600
    refused = run(installation[0], "backup", archive)
    assert (refused.returncode, "is there already" in refused.stderr) == (1, True)
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]


def test_only_an_empty_folder_takes_a_restore(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    refused = run(tmp_path, "restore", archive)
    assert (refused.returncode, "is not empty" in refused.stderr) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def _changed(archive: Path, target: Path, **changes: bytes) -> Path:
    """The same archive with other contents in some members; `None` is not a content, so nothing is left out."""
    with tarfile.open(archive) as source, tarfile.open(target, "w") as copy:
        for member in source.getmembers():
            file = source.extractfile(member)
            assert file is not None
            content = changes.get(member.name.partition(".")[0], file.read())
            member.size = len(content)
            copy.addfile(member, io.BytesIO(content))
    return target


def _manifest(archive: Path, **changes: object) -> bytes:
    with tarfile.open(archive) as source:
        file = source.extractfile("manifest.json")
        assert file is not None
        return json.dumps({**json.load(file), **changes}).encode()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"migration": 9999}, "newer"),
        ({"format": 2}, "is no backup"),
        ({"fingerprint": "0" * 32}, "not the one that it was made with"),
        ({"files": {"../../outside": "0", "database.dump": "0"}}, "other files"),
    ],
)
def test_a_backup_that_does_not_fit_leaves_nothing_behind(
    archive: Path, tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    odd = _changed(archive, tmp_path / "odd.tar", manifest=_manifest(archive, **changes))
    refused = run(tmp_path / "data", "restore", odd)
    assert refused.returncode == 1
    assert says in refused.stderr
    assert not (tmp_path / "data").exists()


def test_a_damaged_or_shortened_backup_is_refused(archive: Path, tmp_path: Path) -> None:
    damaged = _changed(archive, tmp_path / "damaged.tar", secret=b"x" * 64)
    assert "damaged: secret.key" in run(tmp_path / "data", "restore", damaged).stderr
    short = tmp_path / "short.tar"
    short.write_bytes(archive.read_bytes()[:100_000])
    assert "is no backup" in run(tmp_path / "data", "restore", short).stderr
    assert not (tmp_path / "data").exists()


def test_a_backup_with_a_file_outside_of_the_folder_is_refused(archive: Path, tmp_path: Path) -> None:
    evil = tmp_path / "evil.tar"
    with tarfile.open(archive) as source, tarfile.open(evil, "w") as copy:
        for member in source.getmembers():
            if member.name == "manifest.json":
                files = json.loads(_manifest(archive))["files"]
                text = _manifest(archive, files={**files, "published/../../outside": "0"})
                member.size = len(text)
                copy.addfile(member, io.BytesIO(text))
            else:
                copy.addfile(member, source.extractfile(member))
        copy.addfile(tarfile.TarInfo("published/../../outside"), io.BytesIO(b""))
    refused = run(tmp_path / "data", "restore", evil)
    assert "something that no backup holds" in refused.stderr
    assert not (tmp_path / "outside").exists()


def test_another_secret_than_that_of_the_backup_is_refused(archive: Path, tmp_path: Path) -> None:
    refused = run(tmp_path / "data", "restore", archive, COLONNADE_SECRET_KEY="another secret, long enough as it is")
    assert "not the secret that this backup was made with" in refused.stderr
    assert not (tmp_path / "data").exists()


def test_a_folder_whose_restore_was_cut_off_is_not_served(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "restoring").mkdir()
    refused = run(tmp_path, "migrate")
    assert (refused.returncode, "did not come to its end" in refused.stderr) == (1, True)
    assert run(tmp_path, "restore", archive).returncode == 1
