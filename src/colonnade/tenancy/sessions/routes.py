"""How HTTP says signing in and out: passwords, links and invitations in, a cookie out."""

from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.web import Call, Who, access, call_of, json_answer, router
from colonnade.tenancy.sessions.desk import Desk, desk_of, visitor_of
from colonnade.tenancy.sessions.model import SignedIn
from colonnade.tenancy.sessions.shapes import (
    AcceptInvitation,
    AskedShown,
    AskForLink,
    ChoosePassword,
    LogIn,
    SignedInShown,
    SwitchAgency,
)

routes = router("Signing in")


@routes.post("/v1/auth/login", response_model=SignedInShown)
@access(Who.ANYONE)
async def log_in(request: Request, body: LogIn) -> Response:
    """Sign in.

    With e-mail address and password, and with `code` or `recoveryCode` where a second factor is set up. The answer sets
    a cookie that makes a caller on every route; writes bring the `csrfToken` along. Six attempts a minute and twelve an
    hour for each person, then one in a quarter of an hour.
    """
    call = call_of(request)
    desk = desk_of(request)
    signed_in = await desk.entrance.log_in(body.attempt(), visitor_of(call))
    return await _begun(call, desk, signed_in)


@routes.post("/v1/auth/logout", status_code=204)
@access(Who.MEMBER)
async def log_out(request: Request) -> Response:
    """Sign out.

    The session ends at once, in every process.
    """
    call = call_of(request)
    desk = desk_of(request)
    await desk.entrance.leave(call.caller)
    answer = json_answer(204, None)
    desk.cookie.take(answer)
    return answer


@routes.post("/v1/auth/switch", response_model=SignedInShown)
@access(Who.MEMBER)
async def switch_agency(request: Request, body: SwitchAgency) -> Response:
    """Go on in another agency.

    A person may be a member of several; the session in this one ends and another begins, with the same proofs and the
    same end.
    """
    call = call_of(request)
    desk = desk_of(request)
    signed_in = await desk.entrance.switch(call.caller, body.agency_id, visitor_of(call))
    return _shown(call, desk, signed_in)


@routes.post("/v1/auth/password-reset", status_code=202, response_model=AskedShown)
@access(Who.ANYONE)
async def ask_for_link(request: Request, body: AskForLink) -> Response:
    """Ask for a link to choose a password anew.

    It is mailed to that address if somebody has it; the answer is the same for every address.
    """
    call = call_of(request)
    await desk_of(request).entrance.ask_for_link(body.email, visitor_of(call))
    return json_answer(202, AskedShown())


@routes.post("/v1/auth/password-reset/confirm", status_code=204)
@access(Who.ANYONE)
async def choose_password(request: Request, body: ChoosePassword) -> Response:
    """Choose a password by a link.

    The link counts once, and for an hour. All sessions of the person end; signing in with the new password is next.
    """
    call = call_of(request)
    await desk_of(request).entrance.choose_password(body.token, body.password, visitor_of(call))
    return json_answer(204, None)


@routes.post("/v1/auth/accept-invitation", response_model=SignedInShown)
@access(Who.ANYONE)
async def accept_invitation(request: Request, body: AcceptInvitation) -> Response:
    """Accept an invitation.

    Whose address has a password already sends it (and a `code` where a second factor is set up); everybody else
    chooses one. The answer is that of signing in.
    """
    call = call_of(request)
    desk = desk_of(request)
    signed_in = await desk.entrance.accept_invitation(body.arrival(), visitor_of(call), call.known)
    return await _begun(call, desk, signed_in)


async def _begun(call: Call, desk: Desk, signed_in: SignedIn) -> Response:
    """A new session; the one that the browser had before ends, so that no text of before opens anything."""
    await desk.entrance.leave(call.known)
    return _shown(call, desk, signed_in)


def _shown(call: Call, desk: Desk, signed_in: SignedIn) -> Response:
    answer = json_answer(200, SignedInShown.of(signed_in, call.pepper))
    desk.cookie.give(answer, signed_in.started)
    return answer
