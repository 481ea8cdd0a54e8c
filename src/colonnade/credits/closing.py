"""Closing months: what was used in a month that is over and sealed becomes the statement of its workspace."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from colonnade.credits import statement_store, statements
from colonnade.credits.ledger_seals import Statement, Totals, statement_text, unfunded_digest
from colonnade.credits.model import midnight
from colonnade.credits.offline import LATE, Follower, Wrong, check_signatures
from colonnade.credits.statement_store import Calendar, Span
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_id
from colonnade.ground.db.database import Tx
from colonnade.tenancy import agencies, audit

_UNSEALED_PAUSE: Final = timedelta(minutes=1)
_BROKEN_PAUSE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Month:
    """A month of an agency in its zone; it begins where the one before was closed."""

    first: date
    zone: ZoneInfo
    starts_at: datetime

    @property
    def following(self) -> date:
        """The first day of the next one."""
        return (self.first + timedelta(days=32)).replace(day=1)

    @property
    def ends_at(self) -> datetime:
        """When it is over; a zone that was changed may have it end no sooner than it began."""
        return max(midnight(self.following, self.zone), self.starts_at + timedelta(seconds=1))

    @property
    def due_at(self) -> datetime:
        """From when on nothing can be entered in it any more: what began in it has ended by then."""
        return self.ends_at + LATE


async def due_month(tx: Tx) -> Month | None:
    """The month of the agency that can be closed now, if there is one; else it is noted when to look again."""
    agency = await agencies.in_force(tx)
    zone = ZoneInfo(agency.settings.get("timezone", "UTC"))
    calendar = await statement_store.calendar(tx)
    if calendar is None:
        first = agency.created_at.astimezone(zone).date().replace(day=1)
        calendar = Calendar(first, midnight(first, zone))
    month = Month(calendar.month, zone, calendar.starts_at)
    await statement_store.set_calendar(tx, calendar, month.due_at)
    return month if month.due_at <= await tx.now() else None


async def open_spans(tx: Tx, month: Month) -> list[Span] | None:
    """What is to be told of the month by workspace; none at all while something of it waits for its seal."""
    spans = await statement_store.spans(tx, month.first, month.starts_at, month.ends_at)
    if all(span.is_sealed for span in spans):
        return spans
    await _look_again(tx, month, _UNSEALED_PAUSE)
    return None


async def state(tx: Tx, caller: Caller, month: Month, span: Span) -> Statement | None:
    """Make the statement of a workspace's month; none where another transaction has just made it.

    Every entry is followed through the chain first: what is not as it was sealed raises `Wrong`, and nothing is made.
    """
    caller.require("usage:read")
    draft = await _draft(tx, month, span)
    blocks = await statements.edged_blocks(tx, draft)
    if blocks:
        draft = replace(draft, previous_hash=blocks[0].block.previous_hash, head_hash=blocks[-1].block.hash)
    follower = Follower(draft, blocks)
    version = span.stated
    while lines := await statements.lines_behind(tx, draft, version):
        for told in lines:
            follower.take(told)
        version = lines[-1].line.account_version
    totals = follower.end()
    if draft.to_version is not None and totals.opening != span.closing:
        raise Wrong("misplaced", f"entry {span.stated + 1}")
    made = await _with_unfunded(tx, replace(draft, totals=replace(totals, opening=span.closing)))
    signed = replace(made, mac=tx.pepper.digest(statement_text(made)))
    check_signatures(tx.pepper, signed, blocks, known_only=True)
    return signed if await _keep(tx, caller, signed) else None


async def _draft(tx: Tx, month: Month, span: Span) -> Statement:
    now = await tx.now()
    return Statement(
        agency_id=tx.agency_id,
        workspace_id=span.workspace_id,
        id=new_id("stmt"),
        month=month.first,
        zone=month.zone.key,
        starts_at=month.starts_at,
        ends_at=month.ends_at,
        from_version=None if span.to_version is None else span.stated + 1,
        to_version=span.to_version,
        totals=Totals(opening=span.closing),
        unfunded_digest=None,
        previous_hash=None,
        head_hash=None,
        made_at=now.replace(microsecond=now.microsecond // 1000 * 1000),
        mac=b"",
        key_id=tx.pepper.current,
    )


async def _with_unfunded(tx: Tx, draft: Statement) -> Statement:
    digest, last_id, events, cost = None, None, 0, 0
    while found := await statements.unfunded_behind(tx, draft, last_id):
        for event in found:
            digest = unfunded_digest(digest, draft.workspace_id, event)
            events, cost = events + 1, cost + event.would_cost
        last_id = found[-1].id
    totals = replace(draft.totals, unfunded_events=events, unfunded_cost=MilliCredits(cost))
    return replace(draft, totals=totals, unfunded_digest=digest)


async def _keep(tx: Tx, caller: Caller, made: Statement) -> bool:
    is_first = await statement_store.add(tx, made)
    if is_first:
        after = {"month": made.month.isoformat()[:7], "signature": made.mac.hex()}
        await audit.record(tx, caller, "statements.made", made.id, workspace_id=made.workspace_id, after=after)
    return is_first


async def close(tx: Tx, month: Month) -> None:
    """Let the next month be the one that is looked at."""
    following = Month(month.following, month.zone, month.ends_at)
    await statement_store.set_calendar(tx, Calendar(following.first, following.starts_at), following.due_at)


async def note_broken(tx: Tx, caller: Caller, month: Month, span: Span, wrong: Wrong) -> None:
    """Tell that a ledger is not what was sealed; the month stays open and is tried again the next day."""
    caller.require("usage:read")
    found = {"problem": wrong.finding.problem, "where": wrong.finding.where, "entryId": wrong.finding.id}
    account = f"used:{span.workspace_id}"
    await audit.record(tx, caller, "ledger.seal_broken", account, workspace_id=span.workspace_id, after=found)
    await _look_again(tx, month, _BROKEN_PAUSE)


async def _look_again(tx: Tx, month: Month, pause: timedelta) -> None:
    await statement_store.set_calendar(tx, Calendar(month.first, month.starts_at), await tx.now() + pause)
