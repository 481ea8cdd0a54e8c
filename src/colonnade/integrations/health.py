"""How the integrations of a workspace are, told from facts alone: is there a key, and how did its last use go?

A key that was stored after the last outcome begins anew, and so does another receiver of published posts.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from colonnade.ground.db.database import Tx
from colonnade.integrations import store
from colonnade.integrations.model import PROVIDERS
from colonnade.integrations.service import holding_keys
from colonnade.tenancy import workspaces

Health = Literal["healthy", "warning", "error", "not_connected"]

PUBLISHING: Final = "publishing"
"""The way in which a workspace publishes counts as an integration: it is always connected to something."""

_WAIT: Final = frozenset(
    {"model.unavailable", "model.rate_limited", "model.timeout", "model.bad_answer", "publishing.unreachable"}
)
"""Failures that may be over the next time; every other one stays until somebody mends it."""


@dataclass(frozen=True, slots=True)
class Use:
    """How the last calls of one integration went."""

    integration: str
    target: str | None
    worked_at: datetime | None
    failed_at: datetime | None
    reason: str | None

    def health(self, since: datetime | None) -> Health:
        """What these outcomes say, those before `since` left aside."""
        failed_at = self.failed_at
        if failed_at is None or (since is not None and failed_at < since):
            return "healthy"
        if self.worked_at is not None and self.worked_at > failed_at:
            return "healthy"
        return "warning" if self.reason in _WAIT else "error"


def target_of(publishing: Mapping[str, Any]) -> str:
    """Tells one way of publishing from another without repeating an address, which may hold a secret."""
    told = f"{publishing.get('kind', 'folder')} {publishing.get('url', '')}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


async def note_use(tx: Tx, workspace_id: str, integration: str, *, target: str | None, reason: str | None) -> None:
    """Keep how a call has just gone (`reason` of its failure, none when it went well); for runs alone."""
    await store.note_use(tx, workspace_id, integration, target, reason)


async def health_block(tx: Tx, ids: Sequence[str]) -> dict[str, dict[str, Health]]:
    """Include `health`: integration -> `healthy`, `warning`, `error` or `not_connected`."""
    keys = await holding_keys(tx, ids)
    settings = await workspaces.in_force(tx, ids)
    uses: dict[tuple[str, str], Use] = {}
    for row in await store.uses(tx, ids):
        use = Use(row["integration"], row["target"], row["worked_at"], row["failed_at"], row["reason"])
        uses[row["workspace_id"], use.integration] = use
    return {
        one: {
            **dict.fromkeys(workspaces.INTEGRATIONS, "not_connected"),
            **{name: _of_key(keys[one].get(name), uses.get((one, name))) for name in PROVIDERS},
            PUBLISHING: _of_publishing(found.values["publishing"], uses.get((one, PUBLISHING))),
        }
        for one, found in settings.items()
    }


def _of_key(stored_at: datetime | None, use: Use | None) -> Health:
    if stored_at is None:
        return "not_connected"
    return "healthy" if use is None else use.health(stored_at)


def _of_publishing(publishing: Mapping[str, Any], use: Use | None) -> Health:
    if use is None or use.target != target_of(publishing):
        return "healthy"
    return use.health(None)
