"""Event names: everything the audit log and the outbox can say happened, as noun.past."""

from typing import Final

EVENTS: Final[dict[str, str]] = {
    "agencies.created": "An agency was made",
    "agencies.updated": "The agency's profile or settings changed",
    "members.added": "A person became a member of the agency",
    "keys.minted": "An API key was made",
    "keys.updated": "An API key's name, scopes or limits changed",
    "keys.revoked": "An API key was revoked",
    "workspaces.created": "A workspace was made",
    "workspaces.updated": "A workspace, its brand or its settings changed",
    "workspaces.archived": "A workspace was archived",
    "workspaces.restored": "An archived workspace was restored",
    "provider_keys.stored": "An own provider key was stored",
    "provider_keys.removed": "An own provider key was removed",
    "credits.granted": "Credits were granted to a pool",
    "credits.transferred": "Credits moved from one pool to another",
    "credits.held": "Credits were held for work to come",
    "credits.settled": "A hold was charged for what was used and the rest released",
    "posts.created": "A post was written",
    "posts.updated": "A post got a new revision",
    "posts.approved": "A post was approved",
    "posts.rejected": "A post was rejected",
    "posts.published": "A post was published",
    "posts.deleted": "A post was deleted",
    "runs.started": "A run was started",
    "runs.succeeded": "A run ended well",
    "runs.failed": "A run failed",
    "runs.cancelled": "A run was cancelled",
    "approvals.raised": "A run asks for an approval",
    "approvals.approved": "An approval was given",
    "approvals.rejected": "An approval was refused",
    "approvals.expired": "Nobody decided an approval in time",
    "bulk_actions.started": "A bulk action was started",
    "bulk_actions.cancelled": "A bulk action was cancelled",
}
"""Every event with what it means; `audit.record` takes no other."""
