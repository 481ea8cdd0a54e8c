"""The operations of the whole application, for tests that call each of them in a world of the house."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI

from colonnade import app, isolation
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.ground.web import House, Place
from colonnade.ground.web.applications import assemble
from colonnade.ground.web.problems import shape_at
from colonnade.tenancy import workspaces
from tests.conftest import PEPPER
from tests.house.installed import KeyHeld

LEVELS: Final = {"key_id": ("key_id of the agency", "key_id of the workspace")}
"""Parameters that name something else where the path names a workspace: their names in a world's ids."""


@dataclass(frozen=True, slots=True)
class Described(isolation.Described):
    """One operation of the document, called with what a world of the house holds."""

    def source(self, parameter: str) -> str:
        """Under which name a world holds what this parameter may name."""
        return LEVELS.get(parameter, (parameter, parameter))["workspace_id" in self.parameters]

    def of(self, ids: Mapping[str, str]) -> str:
        """The path with these ids of a world."""
        return self.at({name: ids[self.source(name)] for name in self.ids})

    @property
    def refuses_as(self) -> tuple[str, str]:
        """Media type and schema of its refusals."""
        other = shape_at(app.ERROR_SHAPES, self.path)
        return ("application/problem+json", "Problem") if other is None else ("application/json", other.shape.__name__)

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
        Described(one.method, one.path, one.access, one.document, one.schemas)
        for one in isolation.catalogue(document())
    ]
