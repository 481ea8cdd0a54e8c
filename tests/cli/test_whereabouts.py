from pathlib import Path

import pytest

from colonnade.cli.whereabouts import address, answering_at
from colonnade.settings import Settings


def test_a_command_beside_a_running_installation_knows_its_address(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, port=8080)

    with answering_at(settings, "http://127.0.0.1:41234"):
        assert address(settings) == "http://127.0.0.1:41234"
        assert address(settings, "http://told.example/") == "http://told.example"
        assert address(settings.model_copy(update={"public_url": "https://agency.example"})) == "https://agency.example"
    assert address(settings) == "http://127.0.0.1:8080"


@pytest.mark.parametrize(("host", "told"), [("0.0.0.0", "http://127.0.0.1:9000"), ("::", "http://[::1]:9000")])
def test_an_address_is_one_that_this_machine_reaches(tmp_path: Path, host: str, told: str) -> None:
    assert address(Settings(data_dir=tmp_path, host=host, port=9000)) == told
