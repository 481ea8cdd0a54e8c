"""The request log: every call of an agency, found again by what is known of it, and exported."""

import asyncio
import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from colonnade.ground.core.ids import new_id, new_request_id
from colonnade.tenancy import keys
from tests.factories import Home, a_workspace, an_agency
from tests.house.installed import Installed, installed

__all__ = ["installed"]


async def a_free_key(
    installed: Installed, home: Home, workspace_id: str | None = None, **draft: Any
) -> tuple[str, dict[str, str]]:
    """The id of a fresh key without a limit, and its headers."""
    preset = {"preset": "workspace" if workspace_id else "master"}
    wanted = keys.Draft("a key of the tests", rate_limit=None, **{**preset, **draft})
    async with installed.database.transaction(home.reach) as tx:
        minted = await keys.mint(tx, home.caller, wanted, workspace_id=workspace_id)
    return minted.key.id, {"authorization": f"Bearer {minted.secret.reveal()}"}


async def logged(installed: Installed, key: dict[str, str], most: int = 1, **query: Any) -> list[dict[str, Any]]:
    """So many calls of the log, as soon as they are written."""
    async with asyncio.timeout(20):
        while True:
            answer = await installed.client.get("/v1/request-log", params=query, headers=key)
            assert answer.status_code == 200, answer.text
            found: list[dict[str, Any]] = answer.json()["data"]
            if len(found) >= most:
                return found
            await asyncio.sleep(0.02)


async def put(installed: Installed, home: Home, *entries: dict[str, Any]) -> None:
    """Calls in the log that nobody made."""
    usual = {
        "agency_id": home.agency_id,
        "method": "GET",
        "path": "/v1/agency",
        "route": "/v1/agency",
        "status": 200,
        "duration_ms": 1.5,
        "key_id": home.caller.actor_id,
        "at": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
    }
    rows = [{**usual, "request_id": new_request_id(), **entry} for entry in entries]
    await installed.database.lookup("select log_requests($1)", rows)


async def test_a_call_is_found_by_the_request_id_that_its_answer_named_and_tells_why_it_was_refused(
    installed: Installed,
) -> None:
    home = await an_agency(installed.database)
    key_id, key = await a_free_key(installed, home)
    refused = await installed.client.get(f"/v1/workspaces/{new_id('ws')}?include=usage", headers=key)

    [call] = await logged(installed, key, requestId=refused.headers["x-request-id"])

    assert (call["status"], call["reason"], call["keyId"]) == (404, "resource.not_found", key_id)
    assert (call["method"], call["route"]) == ("GET", "/v1/workspaces/{workspace_id}")
    assert call["address"].startswith("10.")
    assert call["milliseconds"] > 0
    assert call["memberId"] is None
    assert "usage" not in json.dumps(call)


@pytest.mark.parametrize("ending", ["revoked", "expired", "from elsewhere"])
async def test_calls_with_a_key_that_is_no_longer_good_are_in_its_agencys_log(
    ending: str, installed: Installed
) -> None:
    home = await an_agency(installed.database)
    _, key = await a_free_key(installed, home)
    drafts: dict[str, dict[str, Any]] = {
        "revoked": {},
        "expired": {"expires_at": datetime.now(UTC) + timedelta(milliseconds=300)},
        "from elsewhere": {"ip_allowlist": ["203.0.113.0/24"]},
    }
    leaked_id, leaked = await a_free_key(installed, home, **drafts[ending])
    if ending == "revoked":
        assert (await installed.client.delete(f"/v1/api-keys/{leaked_id}", headers=key)).status_code == 204
    async with asyncio.timeout(20):
        while (answer := await installed.client.get("/v1/agency", headers=leaked)).status_code == 200:
            await asyncio.sleep(0.02)

    reason = {"revoked": "keys.revoked", "expired": "keys.expired", "from elsewhere": "keys.address_refused"}[ending]
    [call] = await logged(installed, key, requestId=answer.headers["x-request-id"])
    assert (call["keyId"], call["status"], call["reason"]) == (leaked_id, 403, reason)
    assert reason in {one["reason"] for one in await logged(installed, key, keyId=leaked_id, status="4xx")}
    assert answer.headers["colonnade-mode"] == "live"


async def test_calls_with_an_unknown_key_are_nobodys(installed: Installed) -> None:
    home = await an_agency(installed.database)
    _, key = await a_free_key(installed, home)
    text = key["authorization"]
    unknown = {"authorization": text[:-1] + ("a" if text[-1] != "a" else "b")}
    nobodys = await installed.client.get("/v1/agency", headers=unknown)
    known = await installed.client.get("/v1/agency", headers=key)

    await logged(installed, key, requestId=known.headers["x-request-id"])

    assert nobodys.status_code == 401
    answer = await installed.client.get(
        "/v1/request-log", params={"requestId": nobodys.headers["x-request-id"]}, headers=key
    )
    assert answer.json()["data"] == []


WANTED: dict[str, tuple[dict[str, str], set[str]]] = {
    "from": ({"from": "2026-01-02T00:00:00Z"}, {"second", "third"}),
    "to": ({"to": "2026-01-02T00:00:00Z"}, {"first"}),
    "key": ({"keyId": "KEY"}, {"second"}),
    "member": ({"memberId": "MEMBER"}, {"third"}),
    "address": ({"address": "203.0.113.7"}, {"first"}),
    "network": ({"address": "203.0.113.0/24"}, {"first", "second"}),
    "network of version six": ({"address": "2001:db8::/32"}, {"third"}),
    "mapped network": ({"address": "::ffff:203.0.113.0/120"}, {"first", "second"}),
    "method": ({"method": "DELETE"}, {"second"}),
    "route": ({"route": "/v1/agency/settings"}, {"third"}),
    "status": ({"status": "403"}, {"second"}),
    "class of status": ({"status": "4xx"}, {"second", "third"}),
    "well": ({"status": "2xx"}, {"first"}),
    "workspace": ({"workspaceId": "WORKSPACE"}, {"first"}),
    "reason": ({"reason": "keys.revoked"}, {"second"}),
    "several": ({"status": "4xx", "method": "DELETE", "address": "203.0.113.0/24"}, {"second"}),
    "nothing": ({"status": "5xx"}, set()),
}


@pytest.mark.parametrize("filters", WANTED)
async def test_a_filter_leaves_exactly_what_it_says(filters: str, installed: Installed) -> None:
    home = await an_agency(installed.database)
    _, key = await a_free_key(installed, home)
    ids = {"KEY": new_id("key"), "MEMBER": new_id("mem"), "WORKSPACE": new_id("ws")}
    await put(
        installed,
        home,
        {"request_id": "first", "address": "203.0.113.7", "workspace_id": ids["WORKSPACE"]},
        {
            "request_id": "second",
            "at": "2026-01-02T00:00:00Z",
            "address": "203.0.113.8",
            "method": "DELETE",
            "status": 403,
            "key_id": ids["KEY"],
            "reason": "keys.revoked",
        },
        {
            "request_id": "third",
            "at": "2026-01-03T00:00:00Z",
            "address": "2001:db8::7",
            "route": "/v1/agency/settings",
            "status": 404,
            "key_id": None,
            "member_id": ids["MEMBER"],
        },
    )
    query, expected = WANTED[filters]
    query = {"to": "2026-01-04T00:00:00Z", **{name: ids.get(value, value) for name, value in query.items()}}

    answer = await installed.client.get("/v1/request-log", params=query, headers=key)

    assert {one["requestId"] for one in answer.json()["data"]} == expected
    assert answer.json()["total"] is None


BAD = {
    "status": ["600", "4x", "44", "abc", "1000"],
    "address": ["elsewhere", "203.0.113.7/24", "fe80::1%eth0", "300.1.1.1"],
    "method": ["get", "GET;", "A" * 21],
    "from": ["yesterday", "1700000000"],
    "format": ["xlsx"],
    "cursor": ["e30"],
    "limit": ["0", "101"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
async def test_a_filter_that_makes_no_sense_is_named(name: str, value: str, installed: Installed) -> None:
    home = await an_agency(installed.database)
    _, key = await a_free_key(installed, home)

    answer = await installed.client.get("/v1/request-log", params={name: value}, headers=key)

    assert answer.status_code == 400, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"?{name}"]


async def test_pages_show_every_call_once_also_those_of_one_instant(installed: Installed) -> None:
    home = await an_agency(installed.database)
    _, key = await a_free_key(installed, home)
    await put(installed, home, *({"request_id": f"r{number}"} for number in range(11)))

    seen: list[str] = []
    query = {"to": "2026-01-02T00:00:00Z", "limit": "4"}
    while True:
        page = (await installed.client.get("/v1/request-log", params=query, headers=key)).json()
        seen += [one["requestId"] for one in page["data"]]
        if page["nextCursor"] is None:
            break
        query["cursor"] = page["nextCursor"]

    assert seen == [f"r{number}" for number in range(10, -1, -1)]


async def test_who_does_not_reach_all_of_the_agency_sees_the_calls_of_its_workspaces_alone(
    installed: Installed,
) -> None:
    home = await an_agency(installed.database)
    first, second = await a_workspace(installed.database, home), await a_workspace(installed.database, home, name="B")
    _, limited = await a_free_key(installed, home, workspaces=[first.id])
    _, inside = await a_free_key(installed, home, first.id)
    await put(
        installed,
        home,
        {"request_id": "agency's"},
        {"request_id": "first's", "workspace_id": first.id},
        {"request_id": "second's", "workspace_id": second.id},
    )

    answer = await installed.client.get("/v1/request-log", params={"to": "2026-01-02T00:00:00Z"}, headers=limited)
    refused = await installed.client.get("/v1/request-log", headers=inside)

    assert [one["requestId"] for one in answer.json()["data"]] == ["first's"]
    assert (refused.status_code, refused.json()["reason"]) == (403, "keys.wrong_kind")


async def test_an_export_holds_every_call_in_both_formats_and_is_itself_recorded(installed: Installed) -> None:
    home = await an_agency(installed.database)
    key_id, key = await a_free_key(installed, home)
    dangerous = {"path": "=cmd|' /C calc'!A0", "address": "203.0.113.7"}
    await put(installed, home, *({"request_id": f"r{number}", **dangerous} for number in range(1203)))
    query = {"to": "2026-01-02T00:00:00Z", "status": "200"}

    table = await installed.client.get("/v1/request-log", params={**query, "format": "csv"}, headers=key)
    lines = await installed.client.get("/v1/request-log", params={**query, "format": "ndjson"}, headers=key)

    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.headers["content-disposition"] == 'attachment; filename="request-log.csv"'
    assert lines.headers["content-type"] == "application/x-ndjson"
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["requestId"] for row in rows] == [f"r{number}" for number in range(1202, -1, -1)]
    assert {row["path"] for row in rows} == {"'=cmd|' /C calc'!A0"}
    assert {row["milliseconds"] for row in rows} == {"1.500"}
    told = [json.loads(line) for line in lines.text.splitlines()]
    assert [one["requestId"] for one in told] == [row["requestId"] for row in rows]
    audit_log = await installed.client.get("/v1/audit-log", params={"event": "audit.exported"}, headers=key)
    exports = audit_log.json()["data"]
    assert [entry["after"]["format"] for entry in exports] == ["ndjson", "csv"]
    assert {entry["actor"]["id"] for entry in exports} == {key_id}
    assert exports[0]["after"]["log"] == "request-log"
    assert exports[0]["after"]["filters"] == {"to": "2026-01-02T00:00:00.000Z", "status": "200"}


async def test_an_export_without_a_line_is_a_table_without_rows(installed: Installed) -> None:
    home = await an_agency(installed.database)
    _, key = await a_free_key(installed, home)

    answers: list[httpx2.Response] = [
        await installed.client.get(
            "/v1/request-log", params={"to": "2020-01-01T00:00:00Z", "format": wanted}, headers=key
        )
        for wanted in ("csv", "ndjson")
    ]

    assert [len(answer.text.splitlines()) for answer in answers] == [1, 0]
