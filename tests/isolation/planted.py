"""Operations that leak on purpose, each in a way of its own: what the walk must find."""

from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.core.callers import Reach
from colonnade.ground.core.refusals import NotFound, Refused
from colonnade.ground.db.database import Database
from colonnade.ground.web import Body, Place, Shown, Who, access, call_of, router

TITLE: Final = "select title from post where agency_id = $1 and id = $2"
TITLES: Final = "select title from post where agency_id = $1"
COUNT: Final = "select count(*) from workspace where agency_id = $1 and id = $2"
TOUCH: Final = "update post set title = title || '!' where agency_id = $1 and id = $2"


class TitlesShown(Shown):
    """Titles."""

    titles: list[str]


class Believed(Body):
    """A workspace that nobody looks for."""

    workspace_id: str | None = None


def planted(database: Database, victim: Reach) -> APIRouter:
    """The operations; each reads in the victim's scope instead of the caller's."""
    routes = router("Planted")

    async def titles(sql: str, *values: str) -> list[str]:
        async with database.transaction(victim) as tx:
            return [row["title"] for row in await tx.fetch(sql, victim.agency_id, *values)]

    @routes.get("/v1/leaks/{post_id}", response_model=TitlesShown)
    @access(Who.ANY_KEY, "content:read", place=Place.ROW)
    async def read_past_the_walls(request: Request, post_id: str) -> Response:
        """Show whoever asks."""
        found = await titles(TITLE, post_id)
        if not found:
            raise NotFound("post")
        return call_of(request).answer(200, TitlesShown(titles=found))

    @routes.get("/v1/hints/{post_id}", response_model=TitlesShown)
    @access(Who.ANY_KEY, "content:read", place=Place.ROW)
    async def hint_at_it(request: Request, post_id: str) -> Response:
        """Tell by the refusal that it is there."""
        if await titles(TITLE, post_id):
            raise Refused("keys.wrong_kind", "This post is somebody else's.")
        raise NotFound("post")

    @routes.post("/v1/touches/{post_id}/touch", response_model=TitlesShown)
    @access(Who.ANY_KEY, "content:write", place=Place.ROW)
    async def touch(request: Request, post_id: str) -> Response:
        """Change it and say that it is not there."""
        async with database.transaction(victim) as tx:
            await tx.execute(TOUCH, victim.agency_id, post_id)
        raise NotFound("post")

    _plant_without_ids(routes, database, victim)
    return routes


def _plant_without_ids(routes: APIRouter, database: Database, victim: Reach) -> None:
    @routes.get("/v1/everything", response_model=TitlesShown)
    @access(Who.ANY_KEY, "content:read")
    async def list_all(request: Request) -> Response:
        """List what is everybody's."""
        async with database.transaction(victim) as tx:
            rows = await tx.fetch(TITLES, victim.agency_id)
        return call_of(request).answer(200, TitlesShown(titles=[row["title"] for row in rows]))

    @routes.get("/v1/counts", response_model=TitlesShown)
    @access(Who.ANY_KEY, "content:read")
    async def count_for_anybody(request: Request, query: Annotated[Believed, Query()]) -> Response:
        """Tell by a number whether there is something."""
        async with database.transaction(victim) as tx:
            there = await tx.fetchval(COUNT, victim.agency_id, query.workspace_id)
        return call_of(request).answer(200, TitlesShown(titles=["there"] * there))

    @routes.post("/v1/beliefs", response_model=TitlesShown)
    @access(Who.AGENCY, "content:write")
    async def believe(request: Request, body: Believed) -> Response:
        """Take whatever id is sent."""
        return call_of(request).answer(200, TitlesShown(titles=[]))
