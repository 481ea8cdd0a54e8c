"""One public page per picture. Its address holds the digest of its content: it never changes, nobody guesses it."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from colonnade.ground.core.ids import is_id
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.web.problems import answer_refused
from colonnade.tenancy.agencies import Picture

FindPicture = Callable[[str, bytes], Awaitable[Picture | None]]
"""The picture of this agency with this digest."""

_HEADERS: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox",
    "Content-Disposition": "inline",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}
_DIGEST_CHARACTERS: Final = 64


def mount(app: Starlette, find: FindPicture) -> None:
    """Add the pictures' pages to an application."""

    async def show(request: Request) -> Response:
        agency_id, name = request.path_params["agency_id"], request.path_params["name"]
        picture = await _named(find, agency_id, name)
        if picture is None:
            return answer_refused(NotFound("logo"), request.scope)
        headers = {**_HEADERS, "ETag": f'"{picture.digest.hex()}"'}
        if _has_it(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return Response(picture.content, headers=headers, media_type=picture.media_type)

    app.router.routes.append(Route("/logos/{agency_id}/{name}", show))


async def _named(find: FindPicture, agency_id: str, name: str) -> Picture | None:
    """The picture whose address this is, to the letter."""
    digest = name.partition(".")[0]
    is_hex = len(digest) == _DIGEST_CHARACTERS and set(digest) <= set("0123456789abcdef")
    if not is_hex or not is_id("agency", agency_id):
        return None
    picture = await find(agency_id, bytes.fromhex(digest))
    return picture if picture is not None and picture.file_name == name else None


def _has_it(request: Request, tag: str) -> bool:
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or tag in [one.strip().removeprefix("W/") for one in known.split(",")]
