import asyncpg
import pytest

from colonnade.cli.runtime import explained


def test_a_command_whose_database_went_away_says_so_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, explained():
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    assert ended.value.code == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "The database went away" in said
    assert "Give the command again" in said
