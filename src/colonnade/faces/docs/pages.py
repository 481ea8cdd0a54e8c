"""Pages that need no caller. All that they load is served from here, so that they work offline under a strict CSP."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from colonnade.ground.core.reasons import REASONS
from colonnade.ground.core.refusals import Kind, NotFound
from colonnade.ground.web.problems import STATUS, answer_refused

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

PAGE_HEADERS: Final = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Cache-Control": "no-cache"}


@dataclass(frozen=True, slots=True)
class DocsOptions:
    """The version that runs, the address that people reach it by (where set), and the document that describes it."""

    version: str
    public_url: str | None
    document: Callable[[], dict[str, Any]]


def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("colonnade.faces.docs"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def _swagger_files() -> Path:
    """The folder of Swagger UI's files in the package that carries them; the package itself is not run."""
    found = importlib.util.find_spec("fastapi_swagger")
    assert found is not None, "the package that carries Swagger UI is not installed"
    assert found.origin is not None, "the package that carries Swagger UI has no files"
    return Path(found.origin).parent / "resources"


def mount(app: Starlette, options: DocsOptions) -> None:
    """Add the pages to an application."""
    pages = _Pages(options)
    own = Path(str(resources.files("colonnade.faces.docs"))) / "static"
    app.router.routes.extend(
        [
            Route("/", pages.welcome),
            Route("/docs", pages.docs),
            Route("/docs/errors", pages.errors),
            Route("/docs/errors/{reason}", pages.error),
            Route("/openapi.json", pages.openapi),
            Route("/favicon.ico", pages.favicon),
            Mount("/static/swagger", StaticFiles(directory=_swagger_files())),
            Mount("/static", StaticFiles(directory=own)),
        ]
    )


class _Pages:
    def __init__(self, options: DocsOptions) -> None:
        self._options = options
        self._templates = _templates()
        self._document: bytes | None = None

    def _page(self, template: str, **values: Any) -> Response:
        html = self._templates.get_template(template).render(version=self._options.version, **values)
        return HTMLResponse(html, headers=PAGE_HEADERS)

    async def welcome(self, request: Request) -> Response:
        """The first page: what this is and the same first steps that `up` prints."""
        base = self._options.public_url or str(request.base_url)
        return self._page("welcome.html", base=base.rstrip("/"))

    async def docs(self, _request: Request) -> Response:
        """Swagger UI over our own document."""
        return self._page("docs.html")

    async def errors(self, _request: Request) -> Response:
        """Every reason on one page."""
        rows = [(name, reason, STATUS[Kind(reason.kind)]) for name, reason in REASONS.items()]
        return self._page("errors.html", rows=rows)

    async def error(self, request: Request) -> Response:
        """The page that a problem's `type` points to."""
        name = request.path_params["reason"]
        if name not in REASONS:
            return answer_refused(NotFound("error reason"), request.scope)
        reason = REASONS[name]
        return self._page("error.html", name=name, reason=reason, status=STATUS[Kind(reason.kind)])

    async def openapi(self, _request: Request) -> Response:
        """The document, made once."""
        if self._document is None:
            self._document = json.dumps(self._options.document(), ensure_ascii=False).encode()
        return Response(self._document, media_type="application/json", headers={"Cache-Control": "no-cache"})

    async def favicon(self, _request: Request) -> Response:
        """Browsers ask for it unasked."""
        return RedirectResponse("/static/mark.svg", 308)
