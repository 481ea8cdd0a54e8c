"""An `Idempotency-Key` on what moves money holds for ever; on all else for a day."""

import asyncpg
import httpx2

from colonnade.credits import routes as credit_routes
from colonnade.ground.db.database import Database
from colonnade.tenancy.workspaces import routes as workspaces_routes
from tests.credits.homes import Home, a_home
from tests.serving import a_key, served

ROUTERS = [credit_routes.routes, workspaces_routes.routes]


async def _a_year_later(home: Home) -> None:
    """Every stored answer of the agency is a year old; then the house forgets what it may."""
    owner = await asyncpg.connect(**home.database.address.arguments("colonnade_owner"))
    await owner.execute("select set_config('app.agency_id', $1, false)", home.agency_id)
    await owner.execute("select set_config('app.workspace_ids', '*', false)")
    await owner.execute("update idempotency set created_at = created_at - interval '1 year'")
    await owner.execute("select forget_answers(100000)")
    await owner.close()


async def test_a_grant_with_its_key_is_the_same_grant_a_year_later(database: Database) -> None:
    home = await a_home(database)
    key = {**await a_key(database, home.origin), "idempotency-key": "a-grant"}

    async with served(database, ROUTERS) as http:
        first = await http.post("/v1/credits/grants", headers=key, json={"amount": 5})
        await _a_year_later(home)
        again = await http.post("/v1/credits/grants", headers=key, json={"amount": 5})
        other = await http.post("/v1/credits/grants", headers=key, json={"amount": 6})
        balances = (await http.get("/v1/credits", headers=key)).json()

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status_code, other.json()["reason"]) == (422, "request.idempotency_reused")
    assert balances["agency"]["available"] == 5


async def test_what_moves_no_money_is_forgotten_after_a_day(database: Database) -> None:
    home = await a_home(database)
    key = {**await a_key(database, home.origin), "idempotency-key": "a-workspace"}

    async with served(database, ROUTERS) as http:
        first = await http.post("/v1/workspaces", headers=key, json={"name": "Once"})
        await _a_year_later(home)
        again: httpx2.Response = await http.post("/v1/workspaces", headers=key, json={"name": "Once"})

    assert again.status_code == 201
    assert again.json()["id"] != first.json()["id"]
