"""How HTTP takes reports of leaked keys: from anybody who holds a text, and signed lists from a partner."""

import asyncio
from typing import Final

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from colonnade.ground.core.refusals import BadField
from colonnade.ground.web import Body, Call, Shown, Who, access, call_of, examples, router, takes_list_as
from colonnade.tenancy.keys import leaks, partner
from colonnade.tenancy.keys.leaks import Report

routes = router("API keys")

PATH: Final = "/v1/api-keys/report-leak"
PARTNER: Final = "partner_keys"
"""Where the application's state has the keys by which a partner's lists are known."""

_ANSWER_SECONDS: Final = 0.25
"""Every report is answered after the same time, so that the time does not tell whether there was such a key."""


class Match(Body):
    """One text that a partner found; what else the partner says of it is not read."""

    model_config = Body.model_config | {"extra": "ignore"}
    token: str = Field(max_length=4096)
    type: str = Field("", max_length=255)
    url: str = Field("", max_length=4096)
    source: str = Field("", max_length=255)


class ReportLeak(Body):
    """A key that was found where it must not be; or, as a list that is the whole body, what a partner found."""

    model_config = examples(
        {"key": "col_agency_live_…", "source": "A public repository", "url": "https://code.example/acme/blob/config.py"}
    )
    key: str | None = Field(None, max_length=4096, description="The whole text of the key.")
    source: str | None = Field(None, max_length=255, description="Who or what found it.")
    url: str | None = Field(None, max_length=2048, description="Where it was found.")
    matches: list[Match] | None = Field(
        None, max_length=10_000, description="Not sent by name: a signed list that is the whole body is read as this."
    )


class LeakReported(Shown):
    """What every report is answered with."""

    status: str = Field("received", description="Always `received`; not whether there was such a key.")


@routes.post(PATH, status_code=202, response_model=LeakReported)
@takes_list_as("matches")
@access(Who.ANYONE)
async def report_leak(request: Request, body: ReportLeak) -> Response:
    """Report a leaked key.

    Anybody may, without a key of their own. If the text is one of a key, it ends at once in every process and the
    agency is told; the answer is always the same. A partner who scans for keys sends a list of
    `{token, type, url, source}` with `Github-Public-Key-Identifier` and `Github-Public-Key-Signature`, and is answered
    200 with a label for each. 30 requests a minute for each address.
    """
    call = call_of(request)
    if body.matches is not None:
        return await _partners_list(call, body.matches)
    if body.key is None:
        raise BadField("/key", "is required: the whole text of the key that was found")
    await asyncio.gather(
        _end(call, {body.key: Report(body.source, body.url)}),
        asyncio.sleep(_ANSWER_SECONDS),
    )
    return call.answer(202, LeakReported())


async def _partners_list(call: Call, matches: list[Match]) -> Response:
    headers = call.request.headers
    identifier, signature = headers.get(_IDENTIFIER), headers.get(_SIGNATURE)
    keys: partner.PartnerKeys | None = getattr(call.request.app.state, PARTNER, None)
    if not (identifier and signature):
        raise BadField(
            _SIGNATURE, f"is required with a list, and so is {_IDENTIFIER}; to report one key send an object"
        )
    if keys is None or not await keys.has_signed(call.body, identifier, signature):
        raise BadField(_SIGNATURE, "is not that of a partner of this installation over this very body")
    known = await _end(call, {one.token: Report(one.source or None, one.url or None) for one in matches})
    return JSONResponse(partner.labels([(one.token, one.type) for one in matches], known))


async def _end(call: Call, reports: dict[str, Report]) -> set[str]:
    """End what these texts open; which of them were keys of ours."""
    found = await leaks.find_texts(call.database, list(reports))
    for text, one in found.items():
        caller = leaks.reporter(one, call.visit.request_id, call.visit.address)
        async with call.database.transaction(caller.reach) as tx:
            await leaks.end_leaked(tx, caller, one, reports[text])
    return set(found)


_IDENTIFIER: Final = "Github-Public-Key-Identifier"
_SIGNATURE: Final = "Github-Public-Key-Signature"
