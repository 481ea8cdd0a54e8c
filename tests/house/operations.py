"""What the document says of every operation, and what a test must know besides to call each of them."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI

from colonnade import app
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.ground.web import Access, House, Place, Who
from colonnade.ground.web.access import CONTENT, access_of
from colonnade.ground.web.applications import assemble
from colonnade.ground.web.openapi import operations as operations_of
from colonnade.tenancy import workspaces
from tests.conftest import PEPPER
from tests.house.installed import KeyHeld

POST: Final = {"title": "Taken over", "body": "By somebody else."}
INVOKE: Final = {"skill": "draft_post", "input": {"topic": "Taken over"}}

BODIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "PATCH /v1/agency": {"website": "https://taken.example"},
    "PATCH /v1/agency/settings": {"timezone": "Europe/Rome"},
    "POST /v1/api-keys": {"name": "Taken", "preset": "read_only"},
    "PATCH /v1/api-keys/{key_id}": {"name": "Taken"},
    "DELETE /v1/api-keys/{key_id}": {},
    "POST /v1/api-keys/{key_id}/roll": {},
    "POST /v1/workspaces/{workspace_id}/api-keys": {"name": "Taken", "scopes": ["workspaces:read"]},
    "PATCH /v1/workspaces/{workspace_id}/api-keys/{key_id}": {"name": "Taken"},
    "DELETE /v1/workspaces/{workspace_id}/api-keys/{key_id}": {},
    "POST /v1/workspaces/{workspace_id}/api-keys/{key_id}/roll": {},
    "POST /v1/workspaces/bulk-action": {"action": "agent.invoke", "workspaces": "all", "config": INVOKE},
    "POST /v1/workspaces/bulk-actions/{bulk_action_id}/cancel": {},
    "POST /v1/workspaces": {"name": "Taken"},
    "PATCH /v1/workspaces/{workspace_id}": {"name": "Taken"},
    "DELETE /v1/workspaces/{workspace_id}": {},
    "POST /v1/workspaces/{workspace_id}/restore": {},
    "PUT /v1/agency/provider-keys/{provider}": {"key": "sk-taken-over"},
    "DELETE /v1/agency/provider-keys/{provider}": {},
    "PUT /v1/workspaces/{workspace_id}/provider-keys/{provider}": {"key": "sk-taken-over"},
    "DELETE /v1/workspaces/{workspace_id}/provider-keys/{provider}": {},
    "POST /v1/credits/grants": {"amount": 1},
    "POST /v1/credits/transfers": {"amount": 1},
    "POST /v1/posts": POST,
    "PATCH /v1/posts/{post_id}": {"title": "Taken over"},
    "DELETE /v1/posts/{post_id}": {},
    "POST /v1/agent/approvals/{approval_id}/approve": {},
    "POST /v1/agent/approvals/{approval_id}/reject": {"reason": "Taken over."},
    "POST /v1/agent/approvals/{approval_id}/comment": {"text": "Seen."},
    "POST /v1/agent/invoke": INVOKE,
    "POST /v1/agent/invocations/{invocation_id}/cancel": {},
    "POST /v1/agent/invocations/{invocation_id}/approve": {},
    "POST /v1/agent/invocations/{invocation_id}/reject": {"reason": "Taken over."},
}
"""A body that every write takes."""

PARAMETERS: Final[Mapping[str, str]] = {
    "workspace_id": "ws",
    "key_id": "key",
    "bulk_action_id": "bulk",
    "post_id": "post",
    "invocation_id": "inv",
    "approval_id": "appr",
}
"""Every path parameter that holds an id, with the prefix of its ids."""

PLAIN: Final = {"provider": "openai"}
"""Path parameters that name something which is the same for every agency."""


@dataclass(frozen=True, slots=True)
class Described:
    """One operation of the document."""

    method: str
    path: str
    access: Access
    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> list[str]:
        """The names in the path, in order."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @property
    def ids(self) -> list[str]:
        """Those of them that hold ids."""
        return [name for name in self.parameters if name not in PLAIN]

    @property
    def is_write(self) -> bool:
        return self.method != "GET"

    def source(self, parameter: str) -> str:
        """Under which name a world holds what this parameter may name."""
        if parameter != "key_id":
            return parameter
        return "key_id of the workspace" if "workspace_id" in self.parameters else "key_id of the agency"

    def at(self, ids: Mapping[str, str], **instead: str) -> str:
        """The path with these ids, but for those named otherwise."""
        chosen = {name: ids[self.source(name)] for name in self.ids}
        return self.path.format(**{**PLAIN, **chosen, **instead})

    def never(self, parameter: str) -> str:
        """An id of the right kind that never existed."""
        return new_id(PARAMETERS[parameter])

    def sent(self) -> dict[str, Any]:
        """What is sent besides the path."""
        return {"json": dict(BODIES[self.name])} if self.is_write else {}

    def forbids(self, key: KeyHeld) -> bool:
        """Whether the declaration itself keeps this key out, whatever the path names."""
        declared = self.access
        lacks_kind = declared.who is Who.AGENCY and not key.is_agency_wide
        lacks_scope = declared.scope is not None and declared.scope not in key.scopes
        manages_only = declared.place in CONTENT and key.is_agency_wide and "workspaces:act" not in key.scopes
        return lacks_kind or lacks_scope or manages_only

    def headers(self, workspace_id: str, key: KeyHeld) -> dict[str, str]:
        """The header that an agency key needs where nothing else names the workspace."""
        needed = self.access.place in {Place.NAMED, Place.LISTED} and key.is_agency_wide
        return {"x-workspace-id": workspace_id} if needed else {}


@functools.cache
def application() -> FastAPI:
    """The application's routes, without a database behind them."""
    unused = Database(Address("127.0.0.1", 1, "none", {}), "colonnade_app", PEPPER)
    return assemble(House(unused, workspaces.WorkspaceFinder(unused).find), app.routers())


@functools.cache
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    return app.document(application())


@functools.cache
def described() -> list[Described]:
    """Every operation of the document with its declaration."""
    return [
        Described(
            method, route.path_format, access_of(route.endpoint), document()["paths"][route.path_format][method.lower()]
        )
        for route in operations_of(application().routes)
        for method in sorted(route.methods or ())
    ]
