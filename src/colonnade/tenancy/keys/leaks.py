"""Key texts that were found where they must not be: whoever holds one may end it, and need not say who they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from colonnade.ground.core.callers import Caller, CallerKind, Reach
from colonnade.ground.core.instants import format_optional
from colonnade.ground.core.secrets import is_key_text
from colonnade.ground.db.database import Database, Tx
from colonnade.tenancy import audit
from colonnade.tenancy.keys import store
from colonnade.tenancy.keys.store import Found

_NOBODY: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Report:
    """What somebody says of a key text that they found: who found it, and where. Both may be missing."""

    source: str | None = None
    url: str | None = None


async def find_texts(database: Database, texts: Sequence[str]) -> Mapping[str, Found]:
    """What stands behind those of the texts that are, or were, keys of this installation: one look-up for all."""
    by_digest = {digest: text for text in texts if is_key_text(text) for digest in database.pepper.digests(text)}
    rows = await database.lookup(store.LOOK_UP, list(by_digest))
    return {by_digest[row["digest"]]: store.found_of(row) for row in rows}


def reporter(found: Found, request_id: str, address: str | None) -> Caller:
    """Whoever reports a key text, entering the agency of the key to end it and for nothing else."""
    return Caller(
        kind=CallerKind.NOBODY,
        reach=Reach(found.key.agency_id),
        scopes=frozenset(),
        actor_id=_NOBODY,
        actor_name="somebody who found the key",
        request_id=request_id,
        address=address,
        mode=found.key.mode,
    )


async def end_leaked(tx: Tx, caller: Caller, found: Found, report: Report) -> None:
    """End what a leaked text opens, at once and in every process, and record where it was found.

    The newest text of a key takes the key with it. A text that was rolled away and is still good for its overlap ends
    alone; one that had ended before changes nothing, so that old texts harm nobody.
    """
    key = await store.lock(tx, found.key.id, found.key.workspace_id)
    if key is None or key.revoked_at is not None:
        return
    ends_at = await store.secret_ends(tx, key, found.digest)
    if ends_at is not None and ends_at <= await tx.now():
        return
    ended = {"source": report.source, "url": report.url}
    if ends_at is None:
        revoked = await store.revoke(tx, key.id, key.workspace_id, caller.actor_id)
        assert revoked is not None, "a key that was locked while it was good is not there"
        ended["revokedAt"] = format_optional(revoked.revoked_at)
    else:
        await store.end_secret(tx, key, found.digest)
        changed = await store.update(tx, key)  # a new version: whoever counts its calls looks again
        ended["oldTextEndedAt"] = format_optional(changed.updated_at)
    await store.announce(tx, key.id)
    await audit.record(tx, caller, "keys.leaked", key.id, workspace_id=key.workspace_id, after=ended)
