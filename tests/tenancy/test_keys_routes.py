import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Database
from colonnade.ground.web import House
from colonnade.ground.web.applications import assemble
from colonnade.ground.web.doorway import Doorway
from colonnade.ground.web.envelope import Envelope, EnvelopeOptions
from colonnade.tenancy import keys, workspaces
from colonnade.tenancy.keys import Draft, KeyKeeper
from colonnade.tenancy.keys import routes as keys_routes
from tests.factories import Home, a_workspace, an_agency

Answer = dict[str, Any]


@pytest_asyncio.fixture(scope="module")
async def client(database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    async def find(caller: Caller, named: str) -> str | None:
        async with database.transaction(caller.reach) as tx:
            return named if await workspaces.exists(tx, named) else None

    keeper = KeyKeeper(database)
    await keeper.start()
    app = assemble(House(database, find), [keys_routes.routes])
    served = Envelope(Doorway(app, keeper), EnvelopeOptions(), lambda _visit: None)
    transport = httpx2.ASGITransport(app=served, client=("192.0.2.1", 4711))
    async with httpx2.AsyncClient(transport=transport, base_url="http://house.test") as client:
        yield client
    await keeper.close()


@pytest_asyncio.fixture
async def home(database: Database) -> Home:
    return await an_agency(database)


@pytest_asyncio.fixture
async def master(database: Database, home: Home) -> dict[str, str]:
    """The headers of a master key of the agency."""
    async with database.transaction(home.reach) as tx:
        minted = await keys.mint(tx, home.caller, Draft("Master", preset="master", rate_limit=None))
    return {"Authorization": f"Bearer {minted.secret.reveal()}"}


async def made(client: httpx2.AsyncClient, master: dict[str, str], path: str = "/v1/api-keys", **body: Any) -> Answer:
    answer = await client.post(path, json={"name": "a key", **body}, headers=master)
    assert answer.status_code == 201, answer.text
    shown: Answer = answer.json()
    return shown


async def test_only_the_answer_that_made_a_key_holds_its_text(
    client: httpx2.AsyncClient, master: dict[str, str]
) -> None:
    answer = await client.post("/v1/api-keys", json={"name": "CI", "scopes": ["usage:read"]}, headers=master)
    shown = answer.json()
    listed = await client.get("/v1/api-keys", headers=master)
    read = await client.get(f"/v1/api-keys/{shown['id']}", headers=master)

    text = shown.pop("key")
    assert text.startswith("col_agency_live_")
    assert answer.headers["location"] == f"/v1/api-keys/{shown['id']}"
    assert read.json() == shown == listed.json()["data"][0]
    assert (shown["hint"], shown["status"], shown["rateLimit"]) == (
        text[-4:],
        "active",
        {"requests": 100, "windowSeconds": 60},
    )
    assert text not in listed.text + read.text
    assert (listed.json()["total"], listed.json()["nextCursor"]) == (2, None)


async def test_a_replay_of_the_making_does_not_show_the_text_again(
    client: httpx2.AsyncClient, master: dict[str, str]
) -> None:
    headers = {**master, "Idempotency-Key": "once"}
    body = {"name": "CI", "preset": "read_only"}

    first = await client.post("/v1/api-keys", json=body, headers=headers)
    again = await client.post("/v1/api-keys", json=body, headers=headers)

    assert again.status_code == 201
    assert again.headers["idempotent-replayed"] == "true"
    assert again.json()["id"] == first.json()["id"]
    assert "key" not in again.json()
    assert first.json()["key"] not in again.text


async def test_every_bad_field_of_a_new_key_is_named_at_once(
    client: httpx2.AsyncClient, master: dict[str, str]
) -> None:
    bad = {"name": " ", "scopes": ["nope"], "ipAllowlist": ["x"], "rateLimit": {"requests": 0}, "workspaces": ["ws_x"]}

    answer = await client.post("/v1/api-keys", json=bad, headers=master)

    assert answer.status_code == 400
    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert pointers == {"/name", "/scopes/0", "/ipAllowlist/0", "/rateLimit/requests", "/workspaces/0"}


async def test_an_agency_key_needs_scopes_or_a_preset(client: httpx2.AsyncClient, master: dict[str, str]) -> None:
    answer = await client.post("/v1/api-keys", json={"name": "bare"}, headers=master)

    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/scopes", "/preset"]


async def test_a_key_is_told_who_it_is(client: httpx2.AsyncClient, home: Home, master: dict[str, str]) -> None:
    shown = await made(client, master, scopes=["usage:read"], ipAllowlist=["192.0.2.0/24"], rateLimit={"requests": 5})

    answer = await client.get("/v1/whoami", headers={"X-Auth": shown["key"]})

    assert answer.status_code == 200
    assert answer.json() == {
        "kind": "agency",
        "keyId": shown["id"],
        "memberId": None,
        "agencyId": home.agency_id,
        "workspaceId": None,
        "workspaces": "all",
        "scopes": ["usage:read"],
        "mode": "live",
        "rateLimit": {"requests": 5, "windowSeconds": 60},
        "addresses": ["192.0.2.0/24"],
    }
    assert answer.headers["ratelimit"] == '"default";r=4;t=60'


async def test_a_key_of_some_workspaces_is_told_which(
    client: httpx2.AsyncClient, database: Database, home: Home, master: dict[str, str]
) -> None:
    workspace = await a_workspace(database, home)
    shown = await made(client, master, preset="read_only", workspaces=[workspace.id])

    answer = await client.get("/v1/whoami", headers={"X-Auth": shown["key"]})

    assert shown["workspaces"] == answer.json()["workspaces"] == [workspace.id]
    assert answer.json()["keyId"] == shown["id"]


async def test_a_workspaces_keys_live_under_it(
    client: httpx2.AsyncClient, database: Database, home: Home, master: dict[str, str]
) -> None:
    workspace = await a_workspace(database, home, externalId="crm-7")
    path = f"/v1/workspaces/{workspace.id}/api-keys"

    shown = await made(client, master, path)
    headers = {"X-Auth": shown["key"]}
    me = (await client.get("/v1/whoami", headers=headers)).json()
    listed = (await client.get(path, headers=headers)).json()["data"]
    external = (await client.get("/v1/workspaces/ext:crm-7/api-keys", headers=headers)).json()["data"]

    assert (shown["scope"], shown["workspaceId"], me["kind"], me["workspaceId"]) == (
        "workspace",
        workspace.id,
        "workspace",
        workspace.id,
    )
    assert [key["id"] for key in listed] == [key["id"] for key in external] == [shown["id"]]
    assert (await client.get("/v1/api-keys", headers=headers)).json()["reason"] == "keys.wrong_kind"
    assert (await client.get(f"/v1/api-keys/{shown['id']}", headers=master)).status_code == 404
    assert (await client.get(f"{path}/{shown['id']}", headers=master)).status_code == 200


async def test_another_agencys_keys_and_workspaces_are_not_found(
    client: httpx2.AsyncClient, database: Database, master: dict[str, str]
) -> None:
    stranger = await an_agency(database)
    workspace = await a_workspace(database, stranger)
    async with database.transaction(stranger.reach) as tx:
        foreign = (await keys.mint(tx, stranger.caller, Draft("x", preset="master"))).key.id
        inside = (await keys.mint(tx, stranger.caller, Draft("x"), workspace_id=workspace.id)).key.id

    for one in (f"/v1/api-keys/{foreign}", f"/v1/workspaces/{workspace.id}/api-keys/{inside}"):
        told = [
            await client.get(one, headers=master),
            await client.patch(one, json={"name": "mine"}, headers=master),
            await client.delete(one, headers=master),
            await client.post(f"{one}/roll", headers=master),
        ]
        assert [answer.status_code for answer in told] == [404] * 4
    for answer in (
        await client.get(f"/v1/workspaces/{workspace.id}/api-keys", headers=master),
        await client.post(f"/v1/workspaces/{workspace.id}/api-keys", json={"name": "x"}, headers=master),
        await client.get("/v1/workspaces/ext:nobody/api-keys", headers=master),
    ):
        assert answer.status_code == 404


async def test_a_revoked_key_is_refused_at_once_and_says_when(
    client: httpx2.AsyncClient, master: dict[str, str]
) -> None:
    shown = await made(client, master, preset="master")
    headers = {"X-Auth": shown["key"]}
    assert (await client.get("/v1/whoami", headers=headers)).status_code == 200

    for _ in range(2):
        assert (await client.delete(f"/v1/api-keys/{shown['id']}", headers=master)).status_code == 204
    answer = await client.get("/v1/whoami", headers=headers)

    read = (await client.get(f"/v1/api-keys/{shown['id']}", headers=master)).json()
    assert (answer.status_code, answer.json()["reason"]) == (403, "keys.revoked")
    assert read["status"] == "revoked"
    assert read["revokedAt"] in answer.json()["detail"]


@pytest.mark.parametrize(
    ("patch", "name", "value"),
    [
        ({"name": "new"}, "name", "new"),
        ({"description": None}, "description", ""),
        ({"scopes": ["usage:read"]}, "scopes", ["usage:read"]),
        ({"ipAllowlist": ["198.51.100.7"]}, "ipAllowlist", ["198.51.100.7/32"]),
        ({"ipAllowlist": None}, "ipAllowlist", []),
        ({"rateLimit": None}, "rateLimit", None),
        ({"rateLimit": {"requests": 3}}, "rateLimit", {"requests": 3, "windowSeconds": 7}),
        ({"expiresAt": "2999-01-01T00:00:00Z"}, "expiresAt", "2999-01-01T00:00:00.000Z"),
    ],
)
async def test_a_patch_changes_what_it_names(
    client: httpx2.AsyncClient, master: dict[str, str], patch: Answer, name: str, value: Any
) -> None:
    shown = await made(
        client,
        master,
        preset="reporting",
        description="words",
        ipAllowlist=["192.0.2.1"],
        rateLimit={"requests": 9, "windowSeconds": 7},
    )
    del shown["key"]

    answer = await client.patch(f"/v1/api-keys/{shown['id']}", json=patch, headers=master)

    changed = answer.json()
    assert (answer.status_code, changed[name], answer.headers["etag"]) == (
        200,
        value,
        '"v2"' if shown[name] != value else '"v1"',
    )
    assert {**changed, name: 0, "updatedAt": 0} == {**shown, name: 0, "updatedAt": 0}


@pytest.mark.parametrize(
    "patch", [{"name": None}, {"scopes": None}, {"scopes": []}, {"mode": "test"}, {"expiresAt": "2001-01-01T00:00:00Z"}]
)
async def test_a_patch_that_cannot_be_is_a_bad_field(
    client: httpx2.AsyncClient, master: dict[str, str], patch: Answer
) -> None:
    shown = await made(client, master, preset="reporting")

    answer = await client.patch(f"/v1/api-keys/{shown['id']}", json=patch, headers=master)

    assert answer.status_code == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{next(iter(patch))}"]


async def test_a_stale_version_is_refused(client: httpx2.AsyncClient, master: dict[str, str]) -> None:
    shown = await made(client, master, preset="reporting")
    path = f"/v1/api-keys/{shown['id']}"

    assert (await client.patch(path, json={"name": "b"}, headers={**master, "If-Match": '"v1"'})).status_code == 200
    assert (await client.patch(path, json={"name": "c"}, headers={**master, "If-Match": '"v1"'})).status_code == 412


async def test_a_key_that_would_lock_itself_out_is_not_changed(
    client: httpx2.AsyncClient, master: dict[str, str]
) -> None:
    shown = await made(client, master, preset="master")

    answer = await client.patch(
        f"/v1/api-keys/{shown['id']}", json={"ipAllowlist": ["198.51.100.0/24"]}, headers={"X-Auth": shown["key"]}
    )

    assert (answer.status_code, answer.json()["reason"]) == (422, "settings.locks_out")


async def test_a_roll_keeps_the_id_and_shows_the_new_text_once(
    client: httpx2.AsyncClient, master: dict[str, str]
) -> None:
    shown = await made(client, master, preset="master")
    path = f"/v1/api-keys/{shown['id']}"

    rolled = (await client.post(f"{path}/roll", headers=master)).json()

    assert (rolled["id"], rolled["key"] != shown["key"]) == (shown["id"], True)
    assert (await client.get("/v1/whoami", headers={"X-Auth": rolled["key"]})).status_code == 200
    old = await client.get("/v1/whoami", headers={"X-Auth": shown["key"]})
    assert (old.status_code, old.json()["reason"]) == (403, "keys.expired")
    assert "key" not in (await client.get(path, headers=master)).json()
    wrong = await client.post(f"{path}/roll", json={"overlapSeconds": 604_801}, headers=master)
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (400, "/overlapSeconds")


async def test_pages_of_keys_follow_each_other(client: httpx2.AsyncClient, master: dict[str, str]) -> None:
    wanted = [(await made(client, master, preset="reporting"))["id"] for _ in range(4)]

    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        params = {"limit": "2", **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/v1/api-keys", params=params, headers=master)).json()
        seen += [key["id"] for key in page["data"]]
        cursor = page["nextCursor"]

    assert cursor is None
    assert seen[:4] == wanted[::-1]
    assert len(seen) == len(set(seen)) == 5
    assert (await client.get("/v1/api-keys?limit=101", headers=master)).status_code == 400
    assert (await client.get("/v1/api-keys?cursor=x", headers=master)).status_code == 400


async def test_a_test_key_belongs_to_the_test_twin(
    client: httpx2.AsyncClient, home: Home, master: dict[str, str]
) -> None:
    shown = await made(client, master, preset="master", mode="test")

    answer = await client.get("/v1/whoami", headers={"X-Auth": shown["key"]})

    assert shown["key"].startswith("col_agency_test_")
    assert answer.headers["colonnade-mode"] == answer.json()["mode"] == "test"
    assert answer.json()["agencyId"] != home.agency_id


async def test_the_order_of_refusals_is_the_contracts(client: httpx2.AsyncClient, master: dict[str, str]) -> None:
    elsewhere = await made(
        client, master, scopes=["usage:read"], ipAllowlist=["198.51.100.1"], rateLimit={"requests": 1}
    )
    narrow = await made(client, master, scopes=["usage:read"], rateLimit={"requests": 1})

    assert (await client.get("/v1/whoami")).json()["reason"] == "auth.missing"
    unknown = await client.get("/v1/whoami", headers={"X-Auth": "nonsense"})
    assert (unknown.json()["reason"], unknown.headers["www-authenticate"]) == ("auth.invalid", "Bearer")
    told = [await client.get("/v1/api-keys", headers={"X-Auth": elsewhere["key"]}) for _ in range(2)]
    assert [answer.json()["reason"] for answer in told] == ["keys.address_refused"] * 2
    told = [await client.get("/v1/api-keys", headers={"X-Auth": narrow["key"]}) for _ in range(2)]
    assert [answer.json()["reason"] for answer in told] == ["keys.scope_missing", "request.too_many"]
    assert int(told[1].headers["retry-after"]) <= 60


async def test_a_flooded_key_gets_exactly_its_limit(client: httpx2.AsyncClient, master: dict[str, str]) -> None:
    shown = await made(client, master, preset="master", rateLimit={"requests": 20, "windowSeconds": 60})

    told = await asyncio.gather(*(client.get("/v1/whoami", headers={"X-Auth": shown["key"]}) for _ in range(50)))

    assert sorted(answer.status_code for answer in told) == [200] * 20 + [429] * 30


async def test_who_asks_is_told_the_same_whether_the_answer_was_ready_or_made(
    client: httpx2.AsyncClient, database: Database, home: Home, master: dict[str, str]
) -> None:
    workspace = await a_workspace(database, home)
    ready = await client.get("/v1/whoami", headers=master)
    made = await client.get("/v1/whoami", headers={**master, "X-Workspace-Id": workspace.id})

    assert (ready.status_code, made.status_code) == (200, 200)
    assert ready.content == made.content
    assert ready.headers.keys() == made.headers.keys()
    assert (await client.get("/v1/whoami?x=1", headers=master)).status_code == made.status_code
    assert (await client.get("/v1/whoami", headers={**master, "X-Workspace-Id": "ws_nowhere"})).status_code == 404
