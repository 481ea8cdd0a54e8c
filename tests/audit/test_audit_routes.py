"""The audit log over HTTP: verified, exported with what seals it, shown to those whom it concerns."""

import csv
import io
import json

import pytest

from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Connection
from tests.audit.sealed_homes import a_sealed_home, all_sealed, links_of, recorded, tampering
from tests.audit.test_request_log import a_free_key
from tests.factories import a_workspace, an_agency
from tests.house.installed import Installed, installed

__all__ = ["installed"]


async def test_a_verification_tells_how_far_the_seal_reaches_and_holds_a_place_that_was_written_down(
    installed: Installed,
) -> None:
    home = await a_sealed_home(installed.database, installed.worker)
    _, key = await a_free_key(installed, home)

    first = (await installed.client.get("/v1/audit-log/verify", headers=key)).json()
    await all_sealed(installed.worker)
    place = {name: first["sealedTo"][name] for name in ("position", "hash")}
    second = (await installed.client.get("/v1/audit-log/verify", params=place, headers=key)).json()
    other = {**place, "hash": "0" * 64}
    third = (await installed.client.get("/v1/audit-log/verify", params=other, headers=key)).json()

    assert (first["ok"], first["unsealed"], first["erased"], first["bad"]) == (True, 1, 0, None)
    assert first["checked"] == first["sealedTo"]["position"] + 1
    assert (second["ok"], second["unsealed"]) == (True, 0)
    assert second["sealedTo"]["position"] == first["checked"]
    assert second["sealedTo"]["at"] > first["sealedTo"]["at"]
    assert not third["ok"]
    assert (third["bad"]["problem"], third["bad"]["position"]) == ("tampered", place["position"])


async def test_a_verification_names_the_first_bad_entry_to_who_may_see_it(
    installed: Installed, owner: Connection
) -> None:
    home = await a_sealed_home(installed.database, installed.worker)
    workspace = await a_workspace(installed.database, home)
    _, key = await a_free_key(installed, home)
    _, limited = await a_free_key(installed, home, workspaces=[workspace.id])
    links = await links_of(owner, home)
    async with tampering(owner, home) as hands:
        await hands.execute(
            "update audit_entry set actor_name = 'nobody' where agency_id = $1 and id = $2",
            home.agency_id,
            links[4]["entry_id"],
        )

    whole = await installed.client.get("/v1/audit-log/verify", headers=key)
    part = await installed.client.get("/v1/audit-log/verify", headers=limited)

    bad = {"id": links[4]["entry_id"], "position": 5, "problem": "tampered"}
    assert {name: whole.json()["bad"][name] for name in bad} == bad
    assert {name: part.json()["bad"][name] for name in bad} == {**bad, "id": None}


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"position": "1"}, "?hash"),
        ({"hash": "0" * 64}, "?position"),
        ({"position": "0", "hash": "0" * 64}, "?position"),
        ({"position": "9" * 30, "hash": "0" * 64}, "?position"),
        ({"position": "1", "hash": "0" * 63 + "\n"}, "?hash"),
    ],
    ids=["half", "other half", "no place", "beyond", "no hash"],
)
async def test_a_place_that_is_none_is_named(query: dict[str, str], pointer: str, installed: Installed) -> None:
    home = await an_agency(installed.database)
    _, key = await a_free_key(installed, home)

    answer = await installed.client.get("/v1/audit-log/verify", params=query, headers=key)

    assert answer.status_code == 400, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_a_workspaces_key_reads_nothing_of_either_log(installed: Installed) -> None:
    home = await an_agency(installed.database)
    workspace = await a_workspace(installed.database, home)
    _, inside = await a_free_key(installed, home, workspace.id)

    for path in ("/v1/audit-log", "/v1/audit-log/verify", "/v1/request-log", "/v1/audit-log?format=csv"):
        answer = await installed.client.get(path, headers=inside)
        assert (answer.status_code, answer.json()["reason"]) == (403, "keys.wrong_kind"), path


async def test_an_export_follows_the_filters_and_is_recorded_before_it_begins(installed: Installed) -> None:
    home = await a_sealed_home(installed.database, installed.worker, entries=700)
    key_id, key = await a_free_key(installed, home)
    query = {"event": "keys.updated"}

    table = await installed.client.get("/v1/audit-log", params={**query, "format": "csv"}, headers=key)
    lines = await installed.client.get("/v1/audit-log", params={**query, "format": "ndjson"}, headers=key)
    every = await installed.client.get("/v1/audit-log", params={"format": "ndjson"}, headers=key)

    rows = list(csv.DictReader(io.StringIO(table.text)))
    told = [json.loads(line) for line in lines.text.splitlines()]
    assert table.headers["content-disposition"] == 'attachment; filename="audit-log.csv"'
    assert [row["resourceId"] for row in rows] == [f"key_{number}" for number in range(699, -1, -1)]
    assert [one["id"] for one in told] == [row["id"] for row in rows]
    assert rows[0]["before"] == '{"limit":0.5}'
    assert rows[0]["hash"] == told[0]["seal"]["hash"]
    newest = json.loads(every.text.splitlines()[0])
    assert (newest["event"], newest["actor"]["id"]) == ("audit.exported", key_id)
    assert newest["after"] == {"log": "audit-log", "format": "ndjson", "filters": {}}
    assert newest["seal"]["position"] is None


async def test_who_does_not_reach_all_of_the_agency_exports_its_workspaces_entries_without_the_chain(
    installed: Installed,
) -> None:
    home = await an_agency(installed.database)
    first, second = await a_workspace(installed.database, home), await a_workspace(installed.database, home, name="B")
    await all_sealed(installed.worker)
    _, limited = await a_free_key(installed, home, workspaces=[first.id])

    answer = await installed.client.get("/v1/audit-log", params={"format": "ndjson"}, headers=limited)

    told = [json.loads(line) for line in answer.text.splitlines()]
    assert {one["workspaceId"] for one in told if one["event"] == "workspaces.created"} == {first.id}
    assert second.id not in answer.text
    assert {one["seal"]["hash"] for one in told} == {None}


async def test_a_cell_that_a_spreadsheet_might_run_is_made_harmless(installed: Installed) -> None:
    home = await an_agency(installed.database)
    await a_workspace(installed.database, home, name="=HYPERLINK(1)")
    caller_name = {"name": "=1+1"}
    _, key = await a_free_key(installed, home)
    made = await installed.client.post("/v1/api-keys", json={**caller_name, "preset": "master"}, headers=key)
    other = {"authorization": f"Bearer {made.json()['key']}"}
    await installed.client.patch("/v1/agency", json={"name": new_id("agency")}, headers=other)

    answer = await installed.client.get("/v1/audit-log", params={"format": "csv"}, headers=key)

    cells = [cell for row in csv.reader(io.StringIO(answer.text)) for cell in row]
    assert "'=1+1" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


async def test_a_range_of_time_finds_what_lies_in_it(installed: Installed) -> None:
    home = await an_agency(installed.database)
    await recorded(installed.database, home, 3)
    _, key = await a_free_key(installed, home)
    every = (await installed.client.get("/v1/audit-log", headers=key)).json()["data"]
    middle = next(one["at"] for one in every if one["resourceId"] == "key_1")

    since = (await installed.client.get("/v1/audit-log", params={"from": middle}, headers=key)).json()["data"]
    until = (await installed.client.get("/v1/audit-log", params={"to": middle}, headers=key)).json()["data"]
    far = await installed.client.get(
        "/v1/audit-log", params={"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"}, headers=key
    )

    assert {one["id"] for one in since} | {one["id"] for one in until} == {one["id"] for one in every}
    assert {one["id"] for one in since} & {one["id"] for one in until} == set()
    assert len(far.json()["data"]) == len(every)
