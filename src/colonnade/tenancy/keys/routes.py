"""How HTTP says API keys: those of the agency, those of a workspace, and who the caller is."""

from dataclasses import replace
from typing import Annotated, Final

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.core.callers import Caller, Reach
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.db.database import Tx
from colonnade.ground.web import (
    Call,
    PageOf,
    Place,
    Visit,
    Who,
    access,
    call_of,
    entity_tag,
    json_answer,
    ready,
    router,
    to_json,
)
from colonnade.tenancy import agencies, keys, workspaces
from colonnade.tenancy.keys import leak_routes
from colonnade.tenancy.keys.care import care_of
from colonnade.tenancy.keys.shapes import ChangeKey, KeyShown, ListKeys, MintedShown, MintKey, RollKey, WhoShown

routes = router("API keys")
routes.routes.extend(leak_routes.routes.routes)

FILL_TWIN: Final = "fill_twin"
"""The name under which the application's state says what a fresh test twin is given; absent, it begins empty."""

PARTNER: Final = leak_routes.PARTNER
FOR_ANYONE: Final = frozenset({leak_routes.PATH})
"""Paths at which no credential is looked at."""

_EXTERNAL: Final = "ext:"
_KEPT: Final = 1024


_WRITTEN: Final[dict[str, tuple[keys.Key, bytes]]] = {}


def _written(key: keys.Key) -> bytes:
    """What a key is told of itself; written once each time that the key is read."""
    kept = _WRITTEN.get(key.id)
    if kept is None or kept[0] is not key:
        if len(_WRITTEN) >= _KEPT:
            _WRITTEN.clear()
        kept = _WRITTEN[key.id] = key, to_json(WhoShown.of_key(key))
    return kept[1]


def _told(visit: Visit) -> bytes | None:
    """What a key is told of itself; the door has just read it, and asked whether it has changed since."""
    known = visit.credential
    return _written(known) if isinstance(known, keys.Key) else None


@routes.get("/v1/whoami", response_model=WhoShown)
@access(Who.ANY_KEY)
@ready(_told)
async def who_am_i(request: Request) -> Response:
    """Tell who calls.

    The kind of the key, what it may do, where, how often and from which addresses.
    """
    call = call_of(request)
    told = _told(call.visit)
    return call.answer(200, WhoShown.of_member(call.caller)) if told is None else json_answer(200, told)


@routes.get("/v1/api-keys", response_model=PageOf[KeyShown])
@access(Who.AGENCY, "keys:read")
async def list_keys(request: Request, query: Annotated[ListKeys, Query()]) -> Response:
    """List the agency's keys.

    The newest first; keys of workspaces are listed with their workspace.
    """
    return await _list(call_of(request), query, None)


@routes.post("/v1/api-keys", status_code=201, response_model=MintedShown)
@access(Who.AGENCY, "keys:write")
async def mint_key(request: Request, body: MintKey) -> Response:
    """Make a key of the agency.

    This answer alone holds the key's text. Send `scopes` or a `preset`; nobody hands on scopes or workspaces that
    they lack. With `mode: test` the key belongs to the agency's test twin.
    """
    call = call_of(request)
    if body.mode == "test":
        await _enter_twin(call)
    return await _mint(call, body, None)


@routes.get("/v1/api-keys/{key_id}", response_model=KeyShown)
@access(Who.AGENCY, "keys:read")
async def read_key(request: Request, key_id: str) -> Response:
    """Read a key of the agency."""
    return await _read(call_of(request), key_id, None)


@routes.patch("/v1/api-keys/{key_id}", response_model=KeyShown)
@access(Who.AGENCY, "keys:write")
async def change_key(request: Request, key_id: str, body: ChangeKey) -> Response:
    """Change a key of the agency.

    Its name, description, scopes, allowlist, rate limit or end; it counts in every process at once.
    """
    return await _change(call_of(request), body, key_id, None)


@routes.delete("/v1/api-keys/{key_id}", status_code=204)
@access(Who.AGENCY, "keys:write")
async def revoke_key(request: Request, key_id: str) -> Response:
    """Revoke a key of the agency.

    At once, in every process, and for ever.
    """
    return await _revoke(call_of(request), key_id, None)


@routes.post("/v1/api-keys/{key_id}/roll", response_model=MintedShown)
@access(Who.AGENCY, "keys:write")
async def roll_key(request: Request, key_id: str, body: RollKey) -> Response:
    """Roll a key of the agency.

    It gets a new text, which this answer alone holds; its id, limits and end stay.
    """
    return await _roll(call_of(request), body, key_id, None)


@routes.get("/v1/workspaces/{workspace_id}/api-keys", response_model=PageOf[KeyShown])
@access(Who.ANY_KEY, "keys:read", place=Place.WORKSPACES)
async def list_workspace_keys(request: Request, workspace_id: str, query: Annotated[ListKeys, Query()]) -> Response:
    """List a workspace's keys.

    The newest first.
    """
    return await _list(call_of(request), query, workspace_id)


@routes.post("/v1/workspaces/{workspace_id}/api-keys", status_code=201, response_model=MintedShown)
@access(Who.ANY_KEY, "keys:write", place=Place.WORKSPACES)
async def mint_workspace_key(request: Request, workspace_id: str, body: MintKey) -> Response:
    """Make a key of a workspace.

    This answer alone holds the key's text. Without `scopes` and `preset` it may do all that a workspace key may.
    """
    return await _mint(call_of(request), body, workspace_id)


@routes.get("/v1/workspaces/{workspace_id}/api-keys/{key_id}", response_model=KeyShown)
@access(Who.ANY_KEY, "keys:read", place=Place.WORKSPACES)
async def read_workspace_key(request: Request, workspace_id: str, key_id: str) -> Response:
    """Read a key of a workspace."""
    return await _read(call_of(request), key_id, workspace_id)


@routes.patch("/v1/workspaces/{workspace_id}/api-keys/{key_id}", response_model=KeyShown)
@access(Who.ANY_KEY, "keys:write", place=Place.WORKSPACES)
async def change_workspace_key(request: Request, workspace_id: str, key_id: str, body: ChangeKey) -> Response:
    """Change a key of a workspace.

    Its name, description, scopes, allowlist, rate limit or end; it counts in every process at once.
    """
    return await _change(call_of(request), body, key_id, workspace_id)


@routes.delete("/v1/workspaces/{workspace_id}/api-keys/{key_id}", status_code=204)
@access(Who.ANY_KEY, "keys:write", place=Place.WORKSPACES)
async def revoke_workspace_key(request: Request, workspace_id: str, key_id: str) -> Response:
    """Revoke a key of a workspace.

    At once, in every process, and for ever.
    """
    return await _revoke(call_of(request), key_id, workspace_id)


@routes.post("/v1/workspaces/{workspace_id}/api-keys/{key_id}/roll", response_model=MintedShown)
@access(Who.ANY_KEY, "keys:write", place=Place.WORKSPACES)
async def roll_workspace_key(request: Request, workspace_id: str, key_id: str, body: RollKey) -> Response:
    """Roll a key of a workspace.

    It gets a new text, which this answer alone holds; its id, limits and end stay.
    """
    return await _roll(call_of(request), body, key_id, workspace_id)


async def _level(tx: Tx, caller: Caller, workspace: str | None) -> str | None:
    """The workspace that a path names, by its id or by the agency's own (`ext:…`); none is the agency itself."""
    if workspace is None or not workspace.startswith(_EXTERNAL):
        return workspace
    found = await workspaces.find_by_external(tx, caller, workspace.removeprefix(_EXTERNAL))
    if found is None:
        raise NotFound("workspace")
    return found.id


async def _enter_twin(call: Call) -> None:
    """Go on in the agency's test twin; only who reaches the whole agency gets there."""
    caller = call.caller
    if caller.mode == "live" and caller.reach.workspace_ids is None:
        fill = getattr(call.request.app.state, FILL_TWIN, None)
        twin = await agencies.ensure_test_twin(call.database, caller, fill)
        call.known = replace(caller, reach=Reach(twin), mode="test")


async def _list(call: Call, query: ListKeys, workspace: str | None) -> Response:
    what, filters = f"keys {workspace or ''}", query.filters()
    position = call.cursor(what, query.cursor)
    after_id = position[0] if position else None
    async with call.reading() as tx:
        level = await _level(tx, call.caller, workspace)
        found, more = await keys.page(
            tx, call.caller, filters, workspace_id=level, limit=query.limit, after_id=after_id
        )
        total = await keys.count(tx, call.caller, filters, workspace_id=level, exact=query.count == "exact")
        care = await care_of(tx, found)
    shown = PageOf[KeyShown](
        data=[KeyShown.of(key, care) for key in found],
        next_cursor=call.next_cursor(what, [found[-1].id] if more else None),
        total=total,
    )
    return call.answer(200, shown)


async def _mint(call: Call, body: MintKey, workspace: str | None) -> Response:
    async with call.writing() as tx:
        level = await _level(tx, call.caller, workspace)
        minted = await keys.mint(tx, call.caller, body.draft(), workspace_id=level)
        path = "/v1/api-keys" if level is None else f"/v1/workspaces/{level}/api-keys"
        headers = {"Location": f"{path}/{minted.key.id}", **entity_tag(minted.key.version)}
        care = await care_of(tx, [minted.key])
        shown, kept = MintedShown.minted(minted, care), KeyShown.of(minted.key, care)
        return call.answer(201, shown, headers=headers, kept=kept)


async def _read(call: Call, key_id: str, workspace: str | None) -> Response:
    async with call.reading() as tx:
        key = await keys.get(tx, call.caller, key_id, workspace_id=await _level(tx, call.caller, workspace))
        care = await care_of(tx, [key])
    return call.answer(200, KeyShown.of(key, care), headers=entity_tag(key.version))


async def _change(call: Call, body: ChangeKey, key_id: str, workspace: str | None) -> Response:
    async with call.writing() as tx:
        key = await keys.update(
            tx,
            call.caller,
            key_id,
            body.changes(),
            workspace_id=await _level(tx, call.caller, workspace),
            expected_version=call.expected_version(),
        )
        return call.answer(200, KeyShown.of(key, await care_of(tx, [key])), headers=entity_tag(key.version))


async def _revoke(call: Call, key_id: str, workspace: str | None) -> Response:
    async with call.writing() as tx:
        await keys.revoke(tx, call.caller, key_id, workspace_id=await _level(tx, call.caller, workspace))
        return call.answer(204)


async def _roll(call: Call, body: RollKey, key_id: str, workspace: str | None) -> Response:
    async with call.writing() as tx:
        minted = await keys.roll(
            tx,
            call.caller,
            key_id,
            workspace_id=await _level(tx, call.caller, workspace),
            overlap_seconds=body.overlap_seconds,
        )
        care = await care_of(tx, [minted.key])
        shown, kept = MintedShown.minted(minted, care), KeyShown.of(minted.key, care)
        return call.answer(200, shown, headers=entity_tag(minted.key.version), kept=kept)
