"""Logs and the secret as an operator has them: real processes, a worker that is killed, a file that is handed on."""

import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from colonnade.ground.db import embedded
from tests.ops.commands import PATIENCE, Up, answer, apart, get, run

pytestmark = [pytest.mark.journey, pytest.mark.timeout(400)]


def send(url: str, key: str, method: str, body: dict[str, Any]) -> int:
    """The status of a write."""
    headers = {"authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=PATIENCE) as response:
        return int(response.status)


def an_agency(data: Path) -> tuple[str, str]:
    """Its id and its key."""
    made = answer(data, "agency", "create", "--name", "North", "--owner-email", "owner@north.example")
    key = answer(data, "key", "create", "--agency", made["agencyId"], "--preset", "master")["key"]
    return made["agencyId"], key


def verified(url: str, key: str) -> dict[str, Any]:
    status, text = get(f"{url}/v1/audit-log/verify", key)
    assert status == 200, text
    told: dict[str, Any] = json.loads(text)
    return told


def all_sealed(url: str, key: str) -> dict[str, Any]:
    """What a verification tells when nothing waits for its seal any more."""
    deadline = time.monotonic() + PATIENCE
    while (told := verified(url, key))["unsealed"]:
        assert told["ok"], told
        assert time.monotonic() < deadline, told
        time.sleep(1)  # calls are counted against the key's limit
    return told


def worker_of(up: Up) -> psutil.Process:
    """The background process that is alive now."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = [child for child in up.family() if is_worker(child)]
        if found:
            return found[0]
        assert time.monotonic() < deadline, up.text()
        time.sleep(0.05)


def is_worker(process: psutil.Process) -> bool:
    try:
        return "colonnade.working" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def test_a_worker_that_is_killed_again_and_again_leaves_one_whole_chain(tmp_path: Path) -> None:
    with Up(tmp_path) as up:
        agency_id, key = an_agency(tmp_path)
        for number in range(3):
            writing = answer(tmp_path, "key", "create", "--agency", agency_id, "--preset", "master")["key"]
            worker = worker_of(up)
            for change in range(25):
                website = {"website": f"https://north-{number}-{change}.example"}
                assert send(f"{up.url}/v1/agency", writing, "PATCH", website) == 200
                if change == 5 * number + 3:
                    worker.kill()
            worker.wait(PATIENCE)

        worker_of(up)
        told = all_sealed(up.url, key)
        ready = json.loads(get(f"{up.url}/readyz")[1])

    assert told["ok"], told
    assert told["checked"] == told["sealedTo"]["position"] >= 75
    assert ready["checks"]["audit log"]["ok"], ready


async def _execute(data: Path, sql: str) -> None:
    connection = await asyncpg.connect(**embedded.locate(data).arguments("postgres"))
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def test_a_log_is_verified_by_command_and_in_a_file_and_what_somebody_changed_is_named(tmp_path: Path) -> None:
    file = tmp_path / "log.ndjson"
    with Up(tmp_path / "data") as up:
        data = tmp_path / "data"
        agency_id, key = an_agency(data)
        all_sealed(up.url, key)
        good = answer(data, "audit", "verify", "--agency", agency_id)
        file.write_text(get(f"{up.url}/v1/audit-log?format=ndjson", key)[1])
        in_file = answer(data, "audit", "verify-file", file, "--signatures")
        apart(_execute(data, "update audit_entry set actor_name = 'nobody' where event = 'members.added'"))
        bad = run(data, "audit", "verify", "--all")
        told = json.loads(run(data, "audit", "verify", "--all", "--json").stdout)
        apart(_execute(data, "delete from audit_check"))
        apart(_execute(data, "update audit_entry set actor_name = 'operator' where event = 'members.added'"))
        again = run(data, "audit", "verify")
        changed = file.read_text().replace("members.added", "members.removed")

    file.with_suffix(".changed").write_text(changed)
    offline = run(tmp_path / "nowhere", "audit", "verify-file", file.with_suffix(".changed"))
    unsigned = run(tmp_path / "nowhere", "audit", "verify-file", file, "--signatures")
    whole = json.loads(run(tmp_path / "nowhere", "audit", "verify-file", file, "--json").stdout)

    assert good["ok"]
    assert [one["agencyId"] for one in good["agencies"]] == [agency_id]
    assert in_file["ok"]
    assert (whole["ok"], whole["agencyId"], whole["gaps"]) == (True, agency_id, 0)
    assert whole["last"]["position"] == good["agencies"][0]["sealedTo"]["position"]
    assert whole["last"]["hash"] == good["agencies"][0]["sealedTo"]["hash"]
    assert (bad.returncode, "tampered" in bad.stdout) == (1, True)
    assert (told["ok"], told["agencies"][0]["bad"]["problem"]) == (False, "tampered")
    assert (again.returncode, "as they were written" in again.stdout) == (0, True)
    assert (offline.returncode, "tampered" in offline.stdout) == (1, True)
    assert unsigned.returncode == 1
    assert run(tmp_path / "nowhere", "audit", "verify-file", tmp_path / "none").returncode == 1
    assert not (tmp_path / "nowhere").exists()


def test_a_secret_that_is_rotated_ends_nothing_and_one_that_is_lost_is_called_another_key(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with Up(data) as up:
        agency_id, key = an_agency(data)
        before = all_sealed(up.url, key)
        old = (data / "secret.key").read_text()
        assert send(f"{up.url}/v1/agency/provider-keys/openai", key, "PUT", {"key": "sk-of-the-tests-0001"}) == 200
    assert answer(data, "secret", "rotate")["former"] == str(data / "former-secrets.json")
    assert old not in (data / "secret.key").read_text()
    assert (data / "former-secrets.json").stat().st_mode & 0o777 == 0o600
    with Up(data) as up:
        assert get(f"{up.url}/v1/whoami", key)[0] == 200
        assert send(f"{up.url}/v1/agency", key, "PATCH", {"website": "https://new.example"}) == 200
        after = all_sealed(up.url, key)
        new_key = answer(data, "key", "create", "--agency", agency_id, "--preset", "master")["key"]
        assert answer(data, "audit", "verify", "--all")["ok"]
        assert get(f"{up.url}/v1/agency/provider-keys", key)[0] == 200
    (data / "former-secrets.json").rename(tmp_path / "away.json")
    with Up(data) as up:
        assert get(f"{up.url}/v1/whoami", key)[0] == 401
        lost = verified(up.url, new_key)
    (tmp_path / "away.json").rename(data / "former-secrets.json")
    with Up(data) as up:
        back = all_sealed(up.url, key)

    assert (before["ok"], after["ok"], back["ok"]) == (True, True, True)
    assert after["checked"] > before["checked"]
    assert (lost["bad"]["problem"], lost["bad"]["position"]) == ("other_key", 1)
