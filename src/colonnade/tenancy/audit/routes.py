"""How HTTP says the audit log."""

from typing import Annotated, Any

from fastapi import Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.core.refusals import BadField
from colonnade.ground.web import Body, Instant, PageOf, Shown, Who, access, call_of, router
from colonnade.tenancy import audit
from colonnade.tenancy.audit import Entry, Filters, Place, Verdict

_LIST = "audit"

routes = router("Audit")


class ListEntries(Body):
    """Which entries, from the newest on."""

    event: str | None = Field(None, max_length=100, description="Such as `keys.revoked`.")
    resource_id: str | None = Field(None, max_length=100)
    workspace_id: str | None = Field(None, max_length=100)
    actor_id: str | None = Field(None, max_length=100, description="A key, a member, an invocation, or `operator`.")
    from_: Instant | None = Field(None, alias="from", description="Inclusive.")
    to: Instant | None = Field(None, description="Exclusive.")
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None

    def filters(self) -> Filters:
        """What is asked for."""
        return Filters(self.event, self.resource_id, self.workspace_id, self.actor_id, self.from_, self.to)


class Actor(Shown):
    """Who did it."""

    kind: str
    id: str
    name: str


class EntryShown(Shown):
    """One change, as it was recorded in the transaction that made it."""

    id: str
    at: Instant
    actor: Actor
    event: str
    resource_id: str
    workspace_id: str | None
    before: dict[str, Any] | None = Field(description="What was changed, as it stood before.")
    after: dict[str, Any] | None = Field(description="What was changed, as it stood afterwards.")
    request_id: str
    address: str | None

    @classmethod
    def of(cls, entry: Entry) -> "EntryShown":
        """The entry as callers read it."""
        return cls(
            id=entry.id,
            at=entry.at,
            actor=Actor(kind=entry.actor_kind, id=entry.actor_id, name=entry.actor_name),
            event=entry.event,
            resource_id=entry.resource_id,
            workspace_id=entry.workspace_id,
            before=entry.before,
            after=entry.after,
            request_id=entry.request_id,
            address=entry.address,
        )


@routes.get("/v1/audit-log", response_model=PageOf[EntryShown])
@access(Who.AGENCY, "audit:read")
async def list_entries(request: Request, query: Annotated[ListEntries, Query()]) -> Response:
    """List what was done in the agency.

    Every change with who made it, from where, and what it changed; the newest first. The list never counts.
    """
    call = call_of(request)
    position = call.cursor(_LIST, query.cursor)
    async with call.reading() as tx:
        entries, more = await audit.page(
            tx, call.caller, query.filters(), limit=query.limit, after_id=position[0] if position else None
        )
    shown = PageOf[EntryShown](
        data=[EntryShown.of(entry) for entry in entries],
        next_cursor=call.next_cursor(_LIST, [entries[-1].id] if more else None),
        total=None,
    )
    return call.answer(200, shown)


class Verify(Body):
    """A place of the chain that was written down earlier, if there is one: the chain must still go through it."""

    position: int | None = Field(None, ge=1, le=2**62, description="As `sealedTo.position` told it.")
    hash: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="As `sealedTo.hash` told it then.")

    def known(self) -> Place | None:
        """Both or nothing."""
        if (self.position is None) != (self.hash is None):
            raise BadField("?hash" if self.hash is None else "?position", "goes together with the other one")
        return None if self.position is None else Place(self.position, bytes.fromhex(self.hash or ""))


class SealedTo(Shown):
    """Where the chain ends. Write it down elsewhere: nobody can then go back behind it without being found out."""

    position: int = Field(description="How many entries are sealed.")
    hash: str
    at: Instant | None = Field(description="When the end was signed.")


class BadEntry(Shown):
    """The first thing that is wrong."""

    id: str | None = Field(description="The entry, where its id is known and within the key's reach.")
    position: int | None = Field(description="Its place in the chain; null for one that is not sealed yet.")
    problem: str = Field(description="`tampered`, `missing`, `misplaced`, `other_key`, `unsealed` or `cut`.")
    says: str


class VerdictShown(Shown):
    """What a verification of the audit log found."""

    ok: bool
    sealed_to: SealedTo | None = Field(description="How far the walk came; null before anything was sealed.")
    checked: int = Field(description="Entries that are as they were written.")
    unsealed: int = Field(description="Those of them that are too young to be sealed.")
    erased: int = Field(description="Those of them that have lost `before` and `after`; nothing is wrong with them.")
    bad: BadEntry | None

    @classmethod
    def of(cls, verdict: Verdict, *, whole: bool) -> "VerdictShown":
        """The verdict as callers read it; who does not reach all of the agency gets no ids."""
        bad, place = verdict.bad, verdict.sealed_to
        return cls(
            ok=verdict.ok,
            sealed_to=place and SealedTo(position=place.position, hash=place.hash.hex(), at=place.at),
            checked=verdict.checked,
            unsealed=verdict.unsealed,
            erased=verdict.erased,
            bad=bad
            and BadEntry(id=bad.entry_id if whole else None, position=bad.position, problem=bad.problem, says=bad.says),
        )


@routes.get("/v1/audit-log/verify", response_model=VerdictShown)
@access(Who.AGENCY, "audit:read")
async def verify_log(request: Request, query: Annotated[Verify, Query()]) -> Response:
    """Verify the audit log.

    Walks every entry of the agency: each must be as it was written, stand where it was sealed, and the chain must end
    where it was signed to end. The first thing that is wrong is named.
    """
    call = call_of(request)
    known = query.known()
    async with call.reading(snapshot=True) as tx:
        verdict = await audit.verify(tx, call.caller, known=known)
    return call.answer(200, VerdictShown.of(verdict, whole=call.caller.reach.workspace_ids is None))
