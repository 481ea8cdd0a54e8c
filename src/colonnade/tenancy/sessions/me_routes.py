"""How HTTP says oneself: the member who is signed in, their sessions, their password and their second factor."""

from typing import Annotated

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.core.refusals import BadField
from colonnade.ground.web import Call, PageOf, Who, access, call_of, router
from colonnade.tenancy import sessions
from colonnade.tenancy.sessions.desk import Desk, about_oneself, desk_of, visitor_of
from colonnade.tenancy.sessions.model import Person, Started
from colonnade.tenancy.sessions.shapes import (
    ChangeMe,
    ChangePassword,
    ConfirmedShown,
    ConfirmTotp,
    EnrolmentShown,
    ListSessions,
    MeShown,
    RecoveryCodesShown,
    RenewedShown,
    SessionShown,
    ShowFactor,
    TotpShown,
)

routes = router("Oneself")


@routes.get("/v1/me", response_model=MeShown)
@access(Who.MEMBER)
async def read_me(request: Request) -> Response:
    """Read who is signed in.

    The person, the member, the agencies, what is allowed where, and the token that writes of this session bring along.
    """
    return await _me(call_of(request))


@routes.patch("/v1/me", response_model=MeShown)
@access(Who.MEMBER)
async def change_me(request: Request, body: ChangeMe) -> Response:
    """Change one's name.

    It is the same in every agency.
    """
    call = call_of(request)
    if "name" in body.model_fields_set:
        if body.name is None or not body.name.strip():
            raise BadField("/name", "cannot be empty")
        given, caller = call.caller, about_oneself(call)
        async with call.writing() as tx:
            await sessions.rename(tx, caller, body.name.strip())
        call.known = given
    return await _me(call)


@routes.post("/v1/me/password", response_model=RenewedShown)
@access(Who.MEMBER)
async def change_password(request: Request, body: ChangePassword) -> Response:
    """Change one's password.

    All other sessions of the person end, in every agency; this one goes on under a new cookie and a new token.
    """
    call, desk = call_of(request), desk_of(request)
    caller, person = about_oneself(call), await _person(call)
    encoded = await desk.entrance.encoded_instead(person, body.current, body.new, visitor_of(call))
    async with call.writing() as tx:
        renewed = await sessions.change_password(tx, caller, encoded)
        shown = RenewedShown.of(renewed, call.pepper)
        answer = call.answer(200, shown, kept=shown.kept())
    return _given(desk, answer, renewed)


@routes.get("/v1/me/sessions", response_model=PageOf[SessionShown])
@access(Who.MEMBER)
async def list_sessions(request: Request, query: Annotated[ListSessions, Query()]) -> Response:
    """List one's sessions in this agency.

    The newest first; sessions that are over are left out.
    """
    call = call_of(request)
    caller = about_oneself(call)
    what = f"sessions {caller.actor_id}"
    position = call.cursor(what, query.cursor)
    async with call.reading() as tx:
        found, more = await sessions.page(tx, caller, limit=query.limit, after_id=position[0] if position else None)
    shown = PageOf[SessionShown](
        data=[SessionShown.of(session, caller) for session in found],
        next_cursor=call.next_cursor(what, [found[-1].id] if more else None),
        total=None if position or more else len(found),
    )
    return call.answer(200, shown)


@routes.delete("/v1/me/sessions", status_code=204)
@access(Who.MEMBER)
async def end_other_sessions(request: Request) -> Response:
    """End all of one's other sessions in this agency."""
    call = call_of(request)
    caller = about_oneself(call)
    async with call.writing() as tx:
        await sessions.end_others(tx, caller)
        return call.answer(204)


@routes.delete("/v1/me/sessions/{session_id}", status_code=204)
@access(Who.MEMBER)
async def end_session(request: Request, session_id: str) -> Response:
    """End one of one's sessions.

    At once, in every process.
    """
    call = call_of(request)
    caller = about_oneself(call)
    async with call.writing() as tx:
        await sessions.end(tx, caller, session_id)
        return call.answer(204)


@routes.get("/v1/me/totp", response_model=TotpShown)
@access(Who.MEMBER)
async def read_totp(request: Request) -> Response:
    """Read whether a second factor is set up."""
    call = call_of(request)
    about_oneself(call)
    return call.answer(200, TotpShown.of(await _person(call)))


@routes.post("/v1/me/totp", response_model=EnrolmentShown)
@access(Who.MEMBER)
async def begin_totp(request: Request) -> Response:
    """Begin to set up a second factor.

    The answer alone holds the secret for an authenticator, as text and as a picture. It counts from its first code on.
    """
    call, desk = call_of(request), desk_of(request)
    caller = about_oneself(call)
    async with call.writing() as tx:
        made = await sessions.begin_totp(tx, caller, desk.entrance.masters)
        hidden = EnrolmentShown(secret=None, otpauth_uri=None, qr_code=None)
        return call.answer(200, EnrolmentShown.of(made), kept=hidden)


@routes.post("/v1/me/totp/confirm", response_model=ConfirmedShown)
@access(Who.MEMBER)
async def confirm_totp(request: Request, body: ConfirmTotp) -> Response:
    """Confirm a second factor.

    Takes the first code of the authenticator and answers the recovery codes, once. All other sessions of the person
    end; this one goes on under a new cookie and a new token.
    """
    call, desk = call_of(request), desk_of(request)
    caller = about_oneself(call)
    await desk.entrance.attempts.code((await _person(call)).id)
    async with call.writing() as tx:
        renewed, codes = await sessions.confirm_totp(tx, caller, desk.entrance.masters, body.code)
        shown = ConfirmedShown.confirmed(renewed, call.pepper, codes)
        answer = call.answer(200, shown, kept=shown.kept())
    return _given(desk, answer, renewed)


@routes.delete("/v1/me/totp", response_model=RenewedShown)
@access(Who.MEMBER)
async def remove_totp(request: Request, body: ShowFactor) -> Response:
    """Take away the second factor.

    Takes a code of it, or a recovery code. All other sessions of the person end; this one goes on under a new cookie.
    """
    call, desk = call_of(request), desk_of(request)
    caller = about_oneself(call)
    await desk.entrance.attempts.code((await _person(call)).id)
    async with call.writing() as tx:
        renewed = await sessions.remove_totp(tx, caller, desk.entrance.masters, body.codes())
        shown = RenewedShown.of(renewed, call.pepper)
        answer = call.answer(200, shown, kept=shown.kept())
    return _given(desk, answer, renewed)


@routes.post("/v1/me/totp/recovery-codes", response_model=RecoveryCodesShown)
@access(Who.MEMBER)
async def renew_recovery_codes(request: Request, body: ShowFactor) -> Response:
    """Make fresh recovery codes.

    Takes a code of the second factor; the codes of before are void.
    """
    call, desk = call_of(request), desk_of(request)
    caller = about_oneself(call)
    await desk.entrance.attempts.code((await _person(call)).id)
    async with call.writing() as tx:
        codes = await sessions.renew_recovery_codes(tx, caller, desk.entrance.masters, body.codes())
        shown = RecoveryCodesShown(recovery_codes=[code.reveal() for code in codes])
        return call.answer(200, shown, kept=RecoveryCodesShown(recovery_codes=[]))


async def _me(call: Call) -> Response:
    caller = call.caller
    oneself = about_oneself(call)
    async with call.reading() as tx:
        session = await sessions.own(tx, oneself)
        person = await sessions.person(tx, session.person_id)
    memberships = await sessions.memberships(call.database, person.id)
    return call.answer(200, MeShown.of(caller, session, person, memberships, call.pepper))


async def _person(call: Call) -> Person:
    async with call.reading() as tx:
        return await sessions.person(tx, (await sessions.own(tx, call.caller)).person_id)


def _given(desk: Desk, answer: Response, renewed: Started) -> Response:
    """The answer with the new cookie: after the commit, and never part of what is kept for a replay."""
    desk.cookie.give(answer, renewed)
    return answer
