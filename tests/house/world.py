"""Agencies with one of everything, and a key of every kind for each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import pytest_asyncio

from colonnade import credits, integrations
from colonnade.brand import content
from colonnade.credits import statement_store
from colonnade.credits.ledger_seals import Statement, Totals, statement_text
from colonnade.ground.core.amounts import ZERO, MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.secrets import Secret
from colonnade.outbound import templates
from colonnade.runs import bulk, invocations
from colonnade.runs.bulk import Selection, Wish
from colonnade.runs.invocations import RunState, StartRequest, moves, waiting
from colonnade.runs.invocations.waiting import Question
from colonnade.tenancy import agencies, keys, people
from colonnade.tenancy.keys import Draft
from colonnade.tenancy.workspaces import Workspace
from tests.factories import Home, a_signed_in, a_workspace, agency_caller, an_agency, workspace_caller
from tests.house.installed import Installed, KeyHeld, installed

__all__ = ["World", "a_world", "home_of", "installed", "ours", "outsiders", "theirs"]

STRANGERS: Final = ("master", "read_only", "management", "limited", "workspace", "test")
NEIGHBOURS: Final = ("second workspace", "limited to the second")

TOPIC: Final = {"topic": "A fair comparison"}


@dataclass(frozen=True, slots=True)
class World:
    """An agency with one of everything in its first workspace, a second workspace beside it, and keys to it all."""

    home: Home
    first: Workspace
    second: Workspace
    ids: Mapping[str, str]
    """What a path parameter may name here: a parameter's name, or `agency` and `workspace` keys apart."""
    keys: Mapping[str, KeyHeld]


async def _mint(
    installed: Installed, name: str, caller: Caller, workspace_id: str | None = None, **draft: Any
) -> KeyHeld:
    wanted = Draft(name, rate_limit=None, **draft)
    async with installed.database.transaction(caller.reach) as tx:
        minted = await keys.mint(tx, caller, wanted, workspace_id=workspace_id)
    headers = {"authorization": f"Bearer {minted.secret.reveal()}"}
    return KeyHeld(name, minted.key.id, headers, workspace_id is None, minted.key.held)


async def _keys(installed: Installed, home: Home, first: Workspace, second: Workspace) -> dict[str, KeyHeld]:
    mode = agency_caller(await agencies.ensure_test_twin(installed.database, home.caller))
    of_first, of_second = [first.id], [second.id]
    made = [
        await _mint(installed, "master", home.caller, preset="master"),
        await _mint(installed, "read_only", home.caller, preset="read_only"),
        await _mint(installed, "management", home.caller, preset="management"),
        await _mint(installed, "limited", home.caller, preset="master", workspaces=of_first),
        await _mint(installed, "limited to the second", home.caller, preset="master", workspaces=of_second),
        await _mint(installed, "workspace", home.caller, first.id, preset="workspace"),
        await _mint(installed, "second workspace", home.caller, second.id, preset="workspace"),
        await _mint(installed, "test", mode, preset="master"),
    ]
    return {key.name: key for key in made}


async def _provider_keys(installed: Installed, home: Home, first: Workspace) -> None:
    for workspace_id in (None, first.id):
        async with installed.database.transaction(home.reach) as tx:
            await integrations.put(
                tx,
                home.caller,
                masters=installed.masters,
                workspace_id=workspace_id,
                provider="openai",
                secret=Secret("sk-of-the-tests-" + new_id("conn")),
            )


async def _waiting_run(installed: Installed, home: Home, workspace: Workspace) -> tuple[str, str, str]:
    """A run that wrote a post and waits for its approval, as a worker leaves it: the ids of run, approval and post."""
    caller = workspace_caller(home, workspace)
    async with installed.database.transaction(caller.reach) as tx:
        run = await invocations.invoke(tx, caller, StartRequest(workspace.id, "draft_post", dict(TOPIC)))
    acting = home.caller.within(workspace.id)
    async with installed.worker.transaction(acting.reach) as tx:
        running = await moves.move(tx, run, RunState.RUNNING)
        assert running is not None
        draft = content.Draft(title="A fair comparison", body="Both are good.")
        post = await content.draft(tx, acting, workspace_id=workspace.id, draft=draft, run_id=run.id, run_step="save")
        preview = content.preview(await content.submit(tx, acting, post.id))
        approval_id = await waiting.ask(tx, acting, running, Question("publish", "approval", preview, "Look.", 3600))
    return run.id, approval_id, post.id


async def _free_post(installed: Installed, home: Home, workspace: Workspace) -> str:
    caller = home.caller.within(workspace.id)
    async with installed.database.transaction(caller.reach) as tx:
        draft = content.Draft(title="Free to change", body="Nothing waits for it.")
        return (await content.draft(tx, caller, workspace_id=workspace.id, draft=draft)).id


async def _bulk_action(installed: Installed, home: Home, *workspaces: Workspace) -> str:
    config = {"skill": "draft_post", "input": dict(TOPIC)}
    selection = Selection(ids=tuple(workspace.id for workspace in workspaces))
    async with installed.database.transaction(home.reach) as tx:
        return (await bulk.start(tx, home.caller, Wish("agent.invoke", selection, config))).id


async def _mate(installed: Installed, home: Home, workspace: Workspace) -> str:
    """A member besides the owner, who can be changed and removed, with a role of their own in the workspace."""
    operator = agencies.entering(home.agency_id)
    async with installed.database.transaction(home.reach) as tx:
        person_id = await people.ensure_person(tx, email=f"mate@{home.owner_id[4:]}.example")
        mate = await people.add_member(tx, operator, person_id=person_id, role="manager")
        await people.assign(tx, operator, workspace.id, mate.id, "viewer")
    return mate.id


async def _guest(installed: Installed, home: Home) -> str:
    draft = people.Draft(f"guest@{home.owner_id[4:]}.example", "viewer")
    async with installed.database.transaction(home.reach) as tx:
        return (await people.invite(tx, home.caller, draft)).id


async def _template(installed: Installed, home: Home, workspace: Workspace) -> str:
    """A template that is deployed in the workspace."""
    fields = {"name": "Standard", "contents": {"brand": {"voice": "Calm."}}}
    async with installed.database.transaction(home.reach) as tx:
        template = await templates.create(tx, home.caller, fields=fields)
        await templates.deploy(tx, home.caller, workspace.id, templates.Order(template.id))
    return template.id


async def _alert(installed: Installed, home: Home, workspace: Workspace) -> str:
    """An alert about the workspace, at a threshold that no example names."""
    async with installed.database.transaction(home.reach) as tx:
        alert = await credits.create_alert(
            tx, home.caller, threshold_percent=77, channels=["mail"], workspace_id=workspace.id
        )
    return alert.id


async def _session(installed: Installed, home: Home) -> str:
    headers = await a_signed_in(installed.database, home)
    answer = await installed.call(None, "GET", "/v1/me", headers=headers)
    session_id: str = answer.json()["sessionId"]
    return session_id


async def _caps(installed: Installed, home: Home, *holders: dict[str, str]) -> None:
    """Caps that stop nothing."""
    async with installed.database.transaction(home.reach) as tx:
        for holder in holders:
            await credits.set_cap(tx, home.caller, MilliCredits(10**12), **holder)


async def _charge(installed: Installed, home: Home, workspace: Workspace) -> str:
    body = {"workspaceId": workspace.id, "feature": "image", "credits": 1, "reference": "of the world"}
    return await _asked(installed, home, "/v1/credits/charges", body)


async def _hold(installed: Installed, home: Home, workspace: Workspace) -> str:
    body = {"workspaceId": workspace.id, "feature": "video", "credits": 50, "reference": "held in the world"}
    return await _asked(installed, home, "/v1/credits/holds", body)


async def _statement(installed: Installed, home: Home, workspace: Workspace) -> str:
    """What a month came to in which nothing was used."""
    january = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2)]
    of_none = dict.fromkeys(("from_version", "to_version", "unfunded_digest", "previous_hash", "head_hash"))
    made = Statement(
        agency_id=home.agency_id,
        workspace_id=workspace.id,
        id=new_id("stmt"),
        month=january[0].date(),
        zone="UTC",
        starts_at=january[0],
        ends_at=january[1],
        totals=Totals(opening=ZERO),
        made_at=january[1],
        mac=b"",
        key_id=installed.worker.pepper.current,
        **of_none,
    )
    async with installed.worker.transaction(home.reach) as tx:
        await statement_store.add(tx, replace(made, mac=tx.pepper.digest(statement_text(made))))
    return made.id


async def _asked(installed: Installed, home: Home, path: str, body: dict[str, Any]) -> str:
    key = await _mint(installed, "charging", home.caller, preset="master")
    answer = await installed.call(key, "POST", path, json=body)
    identity: str = answer.json()["id"]
    return identity


async def a_world(installed: Installed, *, name: str) -> World:
    """A fresh agency with one of everything."""
    home = await an_agency(installed.database, name=name)
    async with installed.database.transaction(home.reach) as tx:
        await credits.grant(tx, home.caller, amount=MilliCredits(1_000_000))
    first = await a_workspace(installed.database, home, name=f"{name} one", externalId=f"{name}-1", tags=["tier:one"])
    second = await a_workspace(installed.database, home, name=f"{name} two", externalId=f"{name}-2")
    async with installed.database.transaction(home.reach) as tx:
        await credits.grant(tx, home.caller, amount=MilliCredits(500_000), workspace_id=first.id)
    held = await _keys(installed, home, first, second)
    spare = await _mint(installed, "spare", home.caller, preset="master")
    await _caps(installed, home, {}, {"workspace_id": first.id}, {"key_id": spare.id})
    await _provider_keys(installed, home, first)
    run_id, approval_id, _ = await _waiting_run(installed, home, first)
    spare_inside = await _mint(installed, "spare", home.caller, first.id, preset="workspace")
    ids = {
        "workspace_id": first.id,
        "external_id": f"ext:{name}-1",
        "key_id of the agency": spare.id,
        "key_id of the workspace": spare_inside.id,
        "bulk_action_id": await _bulk_action(installed, home, first, second),
        "post_id": await _free_post(installed, home, first),
        "invocation_id": run_id,
        "approval_id": approval_id,
        "member_id": await _mate(installed, home, first),
        "invitation_id": await _guest(installed, home),
        "session_id": await _session(installed, home),
        "template_id": await _template(installed, home, first),
        "alert_id": await _alert(installed, home, first),
        "charge_id": await _charge(installed, home, first),
        "hold_id": await _hold(installed, home, first),
        "statement_id": await _statement(installed, home, first),
    }
    return World(home, first, second, ids, held)


@pytest_asyncio.fixture(scope="session")
async def theirs(installed: Installed) -> World:
    """The agency whose things nobody else may see."""
    return await a_world(installed, name="theirs")


@pytest_asyncio.fixture(scope="session")
async def ours(installed: Installed) -> World:
    """Another agency, whose keys try."""
    return await a_world(installed, name="ours")


def outsiders(ours: World, theirs: World) -> list[KeyHeld]:
    """Keys that must not see what lies in their first workspace: those of another agency, and of its neighbour."""
    return [*(ours.keys[name] for name in STRANGERS), *(theirs.keys[name] for name in NEIGHBOURS)]


def home_of(key: KeyHeld, ours: World, theirs: World) -> World:
    """The world that the key belongs to."""
    return theirs if any(key is one for one in theirs.keys.values()) else ours
