"""Four small pages over the API's own calls. What a link carries stands behind its `#`, so that no server sees it."""

from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path
from typing import Final

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from colonnade.faces.docs import PAGE_HEADERS

PAGES: Final = {
    "/sign-in": "sign_in.html",
    "/accept-invitation": "accept_invitation.html",
    "/reset-password": "reset_password.html",
    "/account": "account.html",
}
"""Each path with its template."""


def mount(app: Starlette, version: str) -> None:
    """Add the pages to an application; before the documentation, whose `/static` would take theirs."""
    own = PackageLoader("colonnade.faces.account")
    frame = PackageLoader("colonnade.faces.docs")
    templates = Environment(
        loader=ChoiceLoader([own, frame]), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    static = Path(str(resources.files("colonnade.faces.account"))) / "static"
    shown = {path: templates.get_template(name).render(version=version) for path, name in PAGES.items()}
    app.router.routes.append(Mount("/static/account", StaticFiles(directory=static)))
    app.router.routes.extend(Route(path, _page(html)) for path, html in shown.items())


def _page(html: str) -> Callable[[Request], Awaitable[Response]]:
    """The same for everybody; what is somebody's own comes from the API, to whom has a session."""

    async def show(_request: Request) -> Response:
        return HTMLResponse(html, headers=PAGE_HEADERS)

    return show
