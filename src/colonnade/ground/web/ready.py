"""Operations that have their answer ready: what the door has read to let a caller in is all that it is made of."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from starlette.types import Scope, Send

from colonnade.ground.web.access import named_workspace
from colonnade.ground.web.visits import Visit, visit_of

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

Ready = Callable[[Visit], bytes | None]
"""The JSON of the answer for who calls; none where it has to be made in the usual way."""

_READY: Final = "__colonnade_ready__"


def ready(answer: Ready) -> Callable[[Endpoint], Endpoint]:
    """Declare that a GET for every key, without arguments and without a scope, may be answered by this alone."""

    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _READY, answer)
        return endpoint

    return declare


def ready_of(endpoint: Callable[..., Any]) -> Ready | None:
    """The declaration of a route's endpoint, if there is one."""
    found: Ready | None = getattr(endpoint, _READY, None)
    return found


async def answer_ready(answer: Ready, scope: Scope, send: Send) -> bool:
    """Send the answer that is ready, if it is; what asks for anything besides goes the usual way."""
    visit = visit_of(scope)
    if scope["method"] != "GET" or scope["query_string"] or named_workspace(visit) is not None:
        return False
    body = answer(visit)
    if body is None:
        return False
    visit.route = scope["path"]
    headers = [(b"content-length", str(len(body)).encode()), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return True
