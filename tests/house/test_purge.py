"""What goes with a purged workspace and what outlives it: every table that names workspaces stands on one list."""

from typing import Final

import asyncpg

from tests.house.catalogue import Table, tables
from tests.house.test_tables import GLOBAL

__all__ = ["tables"]

PURGED: Final = (
    *("usage_alert_firing", "usage_alert", "credit_cap"),
    *("template_deployment", "integration_use"),
    *("approval_comment", "approval", "run_event", "run_step", "bulk_item", "run"),
    *("post_revision", "post", "api_key_use", "api_key_secret", "api_key", "provider_key", "workspace_member"),
    *("workspace_activity", "workspace_gram", "idempotency"),
)
"""What goes, children before their parents: the list of the database's own function."""

STAYS: Final = {
    "audit_entry": "what was done was done; its payloads go",
    "audit_unsealed": "entries that wait for their seal, gone within seconds",
    "outbox": "ids alone, gone within seconds",
    "request_log": "tells the agency who called, and ends by its own time",
    "credit_account": "the ledger stays",
    "credit_transfer": "the ledger stays",
    "ledger_entry": "the ledger stays",
    "ledger_seal": "the ledger stays",
    "ledger_unsealed": "entries that wait for their seal, gone within seconds",
    "statement": "what a month came to stays",
    "credit_grant": "the ledger stays",
    "credit_hold": "the ledger stays",
    "credit_hold_lot": "the ledger stays",
    "credit_tally": "sums of the ledger",
    "usage_event": "usage stays",
    "usage_event_rest": "usage stays",
    "usage_event_id": "usage stays",
    "usage_daily": "usage stays",
}
"""Tables whose rows go on naming a workspace that is gone, and why."""


async def test_every_table_that_names_workspaces_goes_with_them_or_stays_for_a_reason(tables: dict[str, Table]) -> None:
    lasting = {name: table for name, table in tables.items() if name not in GLOBAL and not table.is_month}
    inside = {name for name, table in lasting.items() if "workspace_id" in table.columns}
    assert inside == set(PURGED) | set(STAYS)


async def test_the_database_erases_exactly_what_is_listed(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    assert tuple(await owner.fetchval("select purged_tables()")) == PURGED


async def test_children_go_before_their_parents(tables: dict[str, Table]) -> None:
    for place, name in enumerate(PURGED):
        parents = {key.target for key in tables[name].references} & set(PURGED[:place])
        assert parents == set(), name
