"""What callers read of the audit log: entries, their links in the chain, and what a verification found."""

from typing import Any, Final

from pydantic import Field

from colonnade.ground.core.csv_text import Cell
from colonnade.ground.core.instants import format_instant
from colonnade.ground.web import Instant, Shown
from colonnade.tenancy.audit.model import Entry, canonical_json, canonical_text
from colonnade.tenancy.audit.seals import Sealed, Verdict


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
        return cls(**_fields(entry))


def _fields(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": Actor(kind=entry.actor_kind, id=entry.actor_id, name=entry.actor_name),
        "event": entry.event,
        "resource_id": entry.resource_id,
        "workspace_id": entry.workspace_id,
        "before": entry.before,
        "after": entry.after,
        "request_id": entry.request_id,
        "address": entry.address,
    }


class SealShown(Shown):
    """What seals an entry: everything that is needed to follow the chain without this installation."""

    text: str = Field(description="The entry as it was signed; `before` and `after` stand in it by their digest.")
    mac: str = Field(description="HMAC-SHA256 of `text`.")
    key_id: int
    position: int | None = Field(description="Its place in the chain; null for one that is too young.")
    previous_hash: str | None
    hash: str | None
    link_mac: str | None
    link_key_id: int | None


class SealedShown(EntryShown):
    """One change with what seals it: a line of an export."""

    seal: SealShown

    @classmethod
    def of_sealed(cls, sealed: Sealed) -> "SealedShown":
        """The entry as an export has it."""
        link = sealed.link
        seal = SealShown(
            text=canonical_text(sealed.entry),
            mac=sealed.own_mac.hex(),
            key_id=sealed.own_key_id,
            position=link and link.position,
            previous_hash=link.previous_hash.hex() if link and link.previous_hash else None,
            hash=link and link.hash.hex(),
            link_mac=link and link.mac.hex(),
            link_key_id=link and link.key_id,
        )
        return cls(**_fields(sealed.entry), seal=seal)


CSV_COLUMNS: Final = (
    *("id", "at", "event", "resourceId", "workspaceId", "actorKind", "actorId", "actorName", "before", "after"),
    *("requestId", "address", "position", "hash"),
)


def csv_cells(sealed: Sealed) -> list[Cell]:
    """The entry as a line of a table."""
    entry, link = sealed.entry, sealed.link
    payload = [None if part is None else canonical_json(part) for part in (entry.before, entry.after)]
    return [
        *(entry.id, format_instant(entry.at), entry.event, entry.resource_id, entry.workspace_id),
        *(entry.actor_kind, entry.actor_id, entry.actor_name, *payload, entry.request_id, entry.address),
        *((link.position, link.hash.hex()) if link else (None, None)),
    ]


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
        entry_id = bad.entry_id if bad is not None and whole else None
        return cls(
            ok=verdict.ok,
            sealed_to=place and SealedTo(position=place.position, hash=place.hash.hex(), at=place.at),
            checked=verdict.checked,
            unsealed=verdict.unsealed,
            erased=verdict.erased,
            bad=bad and BadEntry(id=entry_id, position=bad.position, problem=bad.problem, says=bad.says),
        )
