"""How HTTP says the ledger: page by page, or all of it at once with its seal."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from fastapi import Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from colonnade import credits
from colonnade.credits.ledger_pages import SealedLine, ledger_behind
from colonnade.credits.ledger_seals import Block, digest_of, entry_text
from colonnade.ground.core.amounts import to_text
from colonnade.ground.core.csv_text import Cell
from colonnade.ground.core.instants import format_instant
from colonnade.ground.db.database import Tx
from colonnade.ground.web import Amount, Body, Instant, PageOf, Shown, Who, access, call_of, router
from colonnade.ground.web.exports import TOLD, Table, exported

routes = router("Credits")


class ListLedger(Body):
    """Which part of the ledger."""

    workspace_id: str | None = Field(None, max_length=100, description="Entries on this workspace's accounts alone.")
    include: Literal["seal"] | None = Field(None, description="`seal` adds to each entry what it is sealed as.")
    format: Literal["json", "csv", "ndjson"] = Field(
        "json", description="`csv` and `ndjson` answer with all of it at once; lines of `ndjson` carry their seal."
    )
    limit: int = Field(50, ge=1, le=100, description="For `json` alone.")
    cursor: str | None = Field(None, description="For `json` alone.")


class BlockShown(Shown):
    """A block of an account's chain."""

    from_version: int
    to_version: int
    previous_hash: str | None
    hash: str = Field(description="SHA-256 over the block's place, the hash before it, and the digests of its entries.")
    signature: str
    signature_key_id: int

    @classmethod
    def of(cls, block: Block) -> "BlockShown":
        """The block as callers see it."""
        return cls(
            from_version=block.from_version,
            to_version=block.to_version,
            previous_hash=None if block.previous_hash is None else block.previous_hash.hex(),
            hash=block.hash.hex(),
            signature=block.mac.hex(),
            signature_key_id=block.key_id,
        )


class SealShown(Shown):
    """What an entry is sealed as, and where."""

    text: str
    digest: str = Field(description="SHA-256 of the text.")
    block: BlockShown | None = Field(description="Null while the entry waits for its seal, mostly for a second.")


class EntryShown(Shown):
    """One entry of the ledger: the account that changed, and how it stood afterwards."""

    id: str
    transfer_id: str
    account: str = Field(description="`issued`, `pool`, or `pool:`, `held:`, `used:` and the workspace.")
    account_version: int = Field(description="Counts the entries of the account, without a gap.")
    workspace_id: str | None
    amount: Amount
    balance_after: Amount
    kind: str
    rule: str = Field(description="What allowed the movement: the pool that paid, say.")
    price_version: int | None
    source: str = Field(description="Whose reference it is: `house`, or what the caller named.")
    reference: str | None
    feature: str | None
    model: str | None
    invocation_id: str | None
    hold_id: str | None
    charge_id: str | None
    grant_id: str | None
    actor_id: str
    key_id: str | None
    request_id: str
    created_at: Instant
    seal: SealShown | None = Field(description="With `include=seal` alone.")

    @classmethod
    def of(cls, agency_id: str, sealed: SealedLine, *, with_seal: bool) -> "EntryShown":
        """The entry as callers see it."""
        line = sealed.line
        return cls(
            id=line.id,
            transfer_id=line.transfer_id,
            account=line.account_id,
            account_version=line.account_version,
            workspace_id=line.workspace_id,
            amount=line.amount,
            balance_after=line.balance_after,
            kind=line.kind,
            rule=line.rule,
            price_version=line.price_version,
            source=line.source,
            reference=line.reference,
            feature=line.feature,
            model=line.model,
            invocation_id=line.run_id,
            hold_id=line.hold_id,
            charge_id=line.charge_id,
            grant_id=line.grant_id,
            actor_id=line.actor_id,
            key_id=line.key_id,
            request_id=line.request_id,
            created_at=line.at,
            seal=_seal(agency_id, sealed) if with_seal else None,
        )


def _seal(agency_id: str, sealed: SealedLine) -> SealShown:
    text = entry_text(agency_id, sealed.line)
    block = None if sealed.block is None else BlockShown.of(sealed.block)
    return SealShown(text=text, digest=digest_of(text).hex(), block=block)


_COLUMNS: Final = (
    *("id", "createdAt", "account", "accountVersion", "workspaceId", "kind", "amount", "balanceAfter", "rule"),
    *("feature", "model", "priceVersion", "source", "reference", "invocationId", "holdId", "chargeId", "grantId"),
    *("actorId", "keyId", "requestId", "transferId"),
)


def _cells(sealed: SealedLine) -> Sequence[Cell]:
    line = sealed.line
    return (
        *(line.id, format_instant(line.at), line.account_id, line.account_version, line.workspace_id, line.kind),
        *(to_text(line.amount), to_text(line.balance_after)),
        *(line.rule, line.feature, line.model, line.price_version, line.source, line.reference, line.run_id),
        *(line.hold_id, line.charge_id, line.grant_id, line.actor_id, line.key_id, line.request_id, line.transfer_id),
    )


def _table(agency_id: str, workspace_id: str | None) -> Table[SealedLine]:
    async def rows(tx: Tx, last: SealedLine | None, most: int) -> Sequence[SealedLine]:
        return await ledger_behind(tx, workspace_id, None if last is None else last.line.id, most)

    def shown(sealed: SealedLine) -> EntryShown:
        return EntryShown.of(agency_id, sealed, with_seal=True)

    return Table("ledger", rows, _COLUMNS, _cells, shown)


@routes.get("/v1/credits/ledger", response_model=PageOf[EntryShown], responses=TOLD)
@access(Who.ANY_KEY, "credits:read")
async def list_ledger(request: Request, query: Annotated[ListLedger, Query()]) -> Response:
    """List the ledger.

    Every movement stands in it twice: where credits went from, and where they went to. The newest come first, and
    `total` is never counted. With `format` all of it is answered at once.
    """
    call = call_of(request)
    agency_id = call.caller.agency_id
    if query.format != "json":
        return exported(call, _table(agency_id, query.workspace_id), query.format)
    what = f"ledger {query.workspace_id or ''}"
    position = call.cursor(what, query.cursor)
    async with call.reading() as tx:
        lines, has_more = await credits.ledger(
            tx,
            call.caller,
            workspace_id=query.workspace_id,
            before_id=None if position is None else position[0],
            limit=query.limit,
        )
    following = call.next_cursor(what, [lines[-1].line.id] if has_more else None)
    data = [EntryShown.of(agency_id, one, with_seal=query.include == "seal") for one in lines]
    return call.answer(200, PageOf[EntryShown](data=data, next_cursor=following, total=None))
