"""How HTTP says own provider keys: written, looked at by their hint, removed; never read back."""

from datetime import datetime
from typing import Final, Literal

from pydantic import Field, SecretStr
from starlette.requests import Request
from starlette.responses import Response

from colonnade import integrations
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.core.secrets import Secret
from colonnade.ground.db.database import Tx
from colonnade.ground.web import Body, Call, Instant, PageOf, Place, Shown, Who, access, call_of, examples, router
from colonnade.integrations import MasterKeys, ProviderKey
from colonnade.integrations.model import MOST
from colonnade.tenancy import workspaces

STATE: Final = "master_keys"
"""The name under which the application's state holds the installation's `MasterKeys`."""

routes = router("Provider keys")


class StoreKey(Body):
    """An own key for a provider."""

    model_config = examples({"key": "the-text-that-the-provider-gave-you"})
    key: SecretStr = Field(max_length=MOST, description="What the provider gave you; it is never shown again.")


class ProviderKeyShown(Shown):
    """What is shown of an own key."""

    provider: str
    level: Literal["workspace", "agency"]
    workspace_id: str | None
    hint: str = Field(description="The last four characters; empty for a short key.")
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, key: ProviderKey) -> "ProviderKeyShown":
        """The key as callers see it."""
        at: datetime = key.created_at
        return cls(
            provider=key.provider,
            level=key.level,
            workspace_id=key.workspace_id,
            hint=key.hint,
            created_at=at,
            updated_at=at,
        )


async def _named(call: Call, tx: Tx, path_id: str | None) -> str | None:
    """The workspace that a path names, where `ext:` and the agency's own id will do; none is the agency itself."""
    if path_id is None or not path_id.startswith(workspaces.EXTERNAL):
        return path_id
    found = await workspaces.find_by_external(tx, call.caller, path_id.removeprefix(workspaces.EXTERNAL))
    if found is None:
        raise NotFound("workspace")
    return found.id


async def _store(request: Request, path_id: str | None, provider: str, body: StoreKey) -> Response:
    call = call_of(request)
    masters: MasterKeys = getattr(request.app.state, STATE)
    async with call.writing() as tx:
        workspace_id = await _named(call, tx, path_id)
        key = await integrations.put(
            tx,
            call.caller,
            masters=masters,
            workspace_id=workspace_id,
            provider=provider,
            secret=Secret(body.key.get_secret_value()),
        )
        return call.answer(200, ProviderKeyShown.of(key))


async def _read(request: Request, path_id: str | None, provider: str) -> Response:
    call = call_of(request)
    async with call.reading() as tx:
        workspace_id = await _named(call, tx, path_id)
        key = await integrations.get(tx, call.caller, workspace_id=workspace_id, provider=provider)
    return call.answer(200, ProviderKeyShown.of(key))


async def _list(request: Request, path_id: str | None) -> Response:
    call = call_of(request)
    async with call.reading() as tx:
        workspace_id = await _named(call, tx, path_id)
        keys = await integrations.every(tx, call.caller, workspace_id=workspace_id)
    data = [ProviderKeyShown.of(key) for key in keys]
    return call.answer(200, PageOf[ProviderKeyShown](data=data, next_cursor=None, total=len(data)))


async def _remove(request: Request, path_id: str | None, provider: str) -> Response:
    call = call_of(request)
    async with call.writing() as tx:
        workspace_id = await _named(call, tx, path_id)
        await integrations.remove(tx, call.caller, workspace_id=workspace_id, provider=provider)
        return call.answer(204)


@routes.get("/v1/agency/provider-keys", response_model=PageOf[ProviderKeyShown])
@access(Who.AGENCY, "integrations:read")
async def list_agency_keys(request: Request) -> Response:
    """List the agency's own provider keys.

    They hold in every workspace that has none of its own.
    """
    return await _list(request, None)


@routes.put("/v1/agency/provider-keys/{provider}", response_model=ProviderKeyShown)
@access(Who.AGENCY, "integrations:write")
async def store_agency_key(request: Request, provider: str, body: StoreKey) -> Response:
    """Store an own provider key for the agency.

    It is sealed, replaces the one before it, and cannot be read back.
    """
    return await _store(request, None, provider, body)


@routes.get("/v1/agency/provider-keys/{provider}", response_model=ProviderKeyShown)
@access(Who.AGENCY, "integrations:read")
async def read_agency_key(request: Request, provider: str) -> Response:
    """Look at an own provider key of the agency by its hint."""
    return await _read(request, None, provider)


@routes.delete("/v1/agency/provider-keys/{provider}", status_code=204)
@access(Who.AGENCY, "integrations:write")
async def remove_agency_key(request: Request, provider: str) -> Response:
    """Remove an own provider key of the agency."""
    return await _remove(request, None, provider)


@routes.get("/v1/workspaces/{workspace_id}/provider-keys", response_model=PageOf[ProviderKeyShown])
@access(Who.ANY_KEY, "integrations:read", place=Place.WORKSPACES)
async def list_workspace_keys(request: Request, workspace_id: str) -> Response:
    """List a workspace's own provider keys.

    The agency's keys, which hold beside them, are not among them.
    """
    return await _list(request, workspace_id)


@routes.put("/v1/workspaces/{workspace_id}/provider-keys/{provider}", response_model=ProviderKeyShown)
@access(Who.ANY_KEY, "integrations:write", place=Place.WORKSPACES)
async def store_workspace_key(request: Request, workspace_id: str, provider: str, body: StoreKey) -> Response:
    """Store an own provider key for a workspace.

    It is sealed, replaces the one before it, and cannot be read back.
    """
    return await _store(request, workspace_id, provider, body)


@routes.get("/v1/workspaces/{workspace_id}/provider-keys/{provider}", response_model=ProviderKeyShown)
@access(Who.ANY_KEY, "integrations:read", place=Place.WORKSPACES)
async def read_workspace_key(request: Request, workspace_id: str, provider: str) -> Response:
    """Look at an own provider key of a workspace by its hint."""
    return await _read(request, workspace_id, provider)


@routes.delete("/v1/workspaces/{workspace_id}/provider-keys/{provider}", status_code=204)
@access(Who.ANY_KEY, "integrations:write", place=Place.WORKSPACES)
async def remove_workspace_key(request: Request, workspace_id: str, provider: str) -> Response:
    """Remove an own provider key of a workspace."""
    return await _remove(request, workspace_id, provider)
