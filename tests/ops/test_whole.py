"""`colonnade up` as an operator has it: real processes from the first start to the last, and what a kill leaves."""

import signal
from pathlib import Path

import pytest

from tests.ops.commands import Up, answer, get, gone, run, run_apart

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]


def test_up_serves_until_interrupted_and_leaves_no_process(tmp_path: Path) -> None:
    with Up(tmp_path / "data") as up:
        assert get(f"{up.url}/readyz")[0] == 200
        family = up.family()
        second = run_apart(tmp_path / "data", "up", "--port", "0")
        assert second.returncode == 1
        assert "already runs" in second.stderr
        assert len(second.stderr.strip().splitlines()) == 1
        assert up.interrupt() == 0
        assert gone(family)


def test_a_port_that_is_taken_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with Up(tmp_path / "data") as up:
        port = up.url.rpartition(":")[2]
        refused = run_apart(tmp_path / "other", "up", "--port", port)
        assert refused.returncode == 1
        assert f":{port}" in refused.stderr
        assert not (tmp_path / "other").exists()


def test_a_kill_of_the_parent_takes_all_along_and_the_next_start_finds_its_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Up(data, words=()) as up:
        family = up.family()
        key = next(word for word in up.text().split() if word.startswith("COLONNADE_KEY=")).partition("=")[2]
        up.process.send_signal(signal.SIGKILL)
        up.process.wait()
        assert gone(family)
    with Up(data, words=()) as up:
        assert "COLONNADE_KEY=" not in up.text()
        status, body = get(f"{up.url}/v1/workspaces", key)
        assert (status, '"Patagonia"' in body) == (200, True)


def test_a_child_that_is_killed_is_begun_again(tmp_path: Path) -> None:
    with Up(tmp_path / "data") as up:
        server = next(child for child in up.family() if "colonnade.serving" in child.cmdline())
        server.kill()
        assert gone([server])
        assert get(f"{up.url}/healthz")[0] == 200
        assert "begins again" in up.text()


def test_what_was_backed_up_while_it_ran_serves_again_elsewhere(tmp_path: Path) -> None:
    archive = tmp_path / "all.tar"
    with Up(tmp_path / "data") as up:
        made = answer(tmp_path / "data", "agency", "create", "--name", "North", "--owner-email", "o@north.example")
        assert get(f"{up.url}/v1/whoami", made["apiKey"])[0] == 200
        assert run(tmp_path / "data", "backup", archive).returncode == 0
    restored = run_apart(tmp_path / "elsewhere", "restore", archive)
    assert restored.returncode == 0, restored.stderr
    with Up(tmp_path / "elsewhere") as up:
        status, body = get(f"{up.url}/v1/whoami", made["apiKey"])
        assert (status, made["agencyId"] in body) == (200, True)
