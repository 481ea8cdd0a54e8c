"""Every table leads with the agency, behind keys and policies of its class, or stands on a list with its reason."""

from typing import Final

import asyncpg
import pytest

from tests.house.catalogue import Key, Table, tables

__all__ = ["tables"]

GLOBAL: Final = {
    "door": "resolves a credential before anybody's scope is known",
    "person": "a person may belong to several agencies; only listed functions reach it",
    "person_secret": "what a person proves themselves with; only listed functions reach it",
    "recovery_code": "the same",
    "password_reset": "the same",
    "rate_window": "counts addresses as well as keys, before a scope is known",
    "worker_heartbeat": "tells of processes, not of tenants",
    "migration": "tells what was applied to this database",
}

CLASSES: Final = {"agency_only", "agency_readable", "workspace", "either"}

WITHOUT_PRIMARY_KEY: Final = {"request_log": "a log of calls; those without a known caller have no agency"}

REQUIRED_THOUGH_EITHER: Final = {"idempotency": "part of its key, where '' stands for the agency itself"}

WORKSPACE_COLUMN: Final = {"workspace": "id"}

LOGS: Final = {
    "usage_event": "partitioned by time and outliving what it names",
    "usage_event_rest": "a partition of usage_event",
    "usage_event_id": "the identity of an event beside the partitions",
    "usage_daily": "sums that outlive what they name",
}
"""Tables of a workspace that outlive it, so they refer to nothing and nothing refers to them."""

BY_TRIGGER: Final = {"workspace_gram": "written by the workspace's own trigger alone, dozens of rows at a time"}
"""Tables of a workspace that are checked by no reference."""

NO_TENANT_IN_REFERENCE: Final = {
    ("agency", "agency"): "a test twin names its live agency",
    ("member", "person"): "people are global",
    ("former_member", "person"): "people are global",
    ("session", "person"): "people are global",
}

APPEND_ONLY: Final = {
    "audit_entry",
    "audit_seal",
    "audit_checkpoint",
    "ledger_entry",
    "ledger_seal",
    "statement",
    "credit_transfer",
    "credit_hold_lot",
    "credit_cycle",
    "usage_alert_firing",
    "usage_event",
    "usage_event_rest",
    "usage_event_id",
    "post_revision",
    "template_version",
    "run_step",
    "run_event",
    "approval_comment",
    "price",
    "request_log",
}
FORGOTTEN_IN_TIME: Final = {"request_log"}
"""Append-only ones that a background process may clean when they are old."""

APP_MAY_DELETE: Final = {
    "agency_logo": "a picture that the branding no longer names",
    "credit_cap": "a cap that is taken away",
    "idempotency": "an answer that is stored anew",
    "member": "who leaves the agency",
    "provider_key": "an own key that is taken away; it must be gone for good",
    "session": "who signs out",
    "usage_alert": "an alert that is deleted",
    "workspace_gram": "the terms by which a workspace is found, kept by its own trigger",
    "workspace_member": "an assignment that is taken away",
}

IDS_OF_OTHERS: Final = {"request_id": "the caller may choose it", "task_id": "the engine's own"}

_MINE: Final = "(agency_id = ( SELECT app_agency() AS app_agency))"
_WHOLE: Final = "( SELECT app_whole_agency() AS app_whole_agency)"
_INSIDE: Final = "(%s = ANY (( SELECT app_workspaces() AS app_workspaces)::text[]))"


def tenant(tables: dict[str, Table]) -> list[Table]:
    return [table for name, table in tables.items() if name not in GLOBAL]


def workspace_column(table: Table) -> str:
    return WORKSPACE_COLUMN.get(table.name, "workspace_id")


def expected_policies(table: Table) -> set[tuple[str, str, str]]:
    """Name, command and condition of what row security must say, in PostgreSQL's own words."""
    everything = ("tenancy", "*")
    if table.tenancy in {"agency_only", "agency_readable"}:
        found = {(*everything, f"({_MINE} AND {_WHOLE})")}
        return found | ({("tenancy_read", "r", _MINE)} if table.tenancy == "agency_readable" else set())
    return {(*everything, f"({_MINE} AND ({_WHOLE} OR {_INSIDE % workspace_column(table)}))")}


async def test_a_table_belongs_to_a_tenant_or_to_the_list_of_those_that_do_not(tables: dict[str, Table]) -> None:
    unknown = {table.name: table.tenancy for table in tenant(tables) if table.tenancy not in CLASSES}
    assert unknown == {}
    assert set(GLOBAL) <= set(tables), "the list names a table that is gone"
    assert {name for name in GLOBAL if "agency_id" in tables[name].columns} == {"door"}


async def test_a_tenants_table_leads_with_the_agency(tables: dict[str, Table]) -> None:
    wrong = [table.name for table in tenant(tables) if next(iter(table.columns)) != "agency_id"]
    assert wrong == []
    optional = [table.name for table in tenant(tables) if not table.columns["agency_id"].required]
    assert optional == list(WITHOUT_PRIMARY_KEY)


async def test_a_tenants_table_is_keyed_by_the_agency_first(tables: dict[str, Table]) -> None:
    wrong = {table.name: table.primary for table in tenant(tables) if table.primary[:1] != ("agency_id",)}
    assert set(wrong) == set(WITHOUT_PRIMARY_KEY)


async def test_nothing_is_unique_over_all_agencies(tables: dict[str, Table]) -> None:
    wrong = {(table.name, columns) for table in tenant(tables) for columns in table.unique if columns[0] != "agency_id"}
    assert wrong == {("agency", ("live_agency_id",))}, "an agency has one test twin at most; all else is its own"


async def test_row_security_is_on_and_holds_for_the_owner_too(tables: dict[str, Table]) -> None:
    assert [table.name for table in tenant(tables) if not (table.enabled and table.forced)] == []


async def test_the_policy_of_a_table_is_exactly_that_of_its_class(tables: dict[str, Table]) -> None:
    for table in tenant(tables):
        policies = [policy for policy in table.policies if policy.roles == ("public",)]
        assert {(p.name, p.command, p.visible) for p in policies} == expected_policies(table), table.name
        assert all(policy.permissive and policy.writable is None for policy in policies), table.name


async def test_policies_are_for_everybody_or_for_the_role_that_looks_up(tables: dict[str, Table]) -> None:
    roles = {policy.roles for table in tables.values() for policy in table.policies}
    assert roles == {("public",), ("colonnade_lookup",)}


async def test_the_workspace_is_required_where_rows_are_a_workspaces(tables: dict[str, Table]) -> None:
    for table in tenant(tables):
        column = table.columns.get(workspace_column(table))
        if table.tenancy == "workspace":
            assert column is not None, table.name
            assert column.required, table.name
        elif table.tenancy == "either":
            assert column is not None, table.name
            assert column.required == (table.name in REQUIRED_THOUGH_EITHER), table.name


async def test_a_workspaces_row_can_be_referred_to_together_with_its_workspace(tables: dict[str, Table]) -> None:
    wanted = ("agency_id", "workspace_id", "id")
    with_ids = [table for table in tenant(tables) if table.tenancy == "workspace" and "id" in table.columns]
    others = [table for table in with_ids if not table.is_month and table.name not in LOGS]
    lacking = [table.name for table in others if wanted not in table.unique]
    assert lacking == ["workspace"], "only the workspace itself has no workspace beside its id"


async def test_a_reference_carries_the_tenant_on_both_sides(tables: dict[str, Table]) -> None:
    wrong = {
        (table.name, key.target)
        for table in tenant(tables)
        for key in table.references
        if (key.columns[0], key.referred[0]) != ("agency_id", "agency_id")
    }
    assert wrong == set(NO_TENANT_IN_REFERENCE)


async def test_a_reference_between_rows_of_workspaces_names_the_workspace(tables: dict[str, Table]) -> None:
    for table in tenant(tables):
        for key in table.references:
            assert _names_the_workspace(tables, table, key), (table.name, key)


def _names_the_workspace(tables: dict[str, Table], table: Table, key: Key) -> bool:
    target = tables[key.target]
    if target.name == "workspace":
        return key.columns == ("agency_id", "workspace_id") and key.referred == ("agency_id", "id")
    if target.tenancy != "workspace":
        return True
    # A composite reference that holds a null is not checked at all, so its tenant must always be there.
    required = all(table.columns[name].required for name in key.columns[:2])
    return key.columns[:2] == key.referred[:2] == ("agency_id", "workspace_id") and required


async def test_a_workspaces_rows_refer_to_their_workspace_directly_or_by_their_parent(tables: dict[str, Table]) -> None:
    loose = [
        table.name
        for table in tenant(tables)
        if table.tenancy == "workspace" and not table.is_month
        if not any("workspace_id" in key.columns for key in table.references)
    ]
    assert set(loose) == {*LOGS, *BY_TRIGGER, "workspace"}


async def test_every_id_sorts_by_its_bytes(tables: dict[str, Table]) -> None:
    wrong = [
        (table.name, name)
        for table in tables.values()
        for name, column in table.columns.items()
        if (name == "id" or name.endswith("_id")) and name not in IDS_OF_OTHERS
        if column.type == "text" and column.collation != "C"
    ]
    assert wrong == []


async def test_an_id_of_our_own_is_checked_by_its_prefix(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    rows = await owner.fetch(
        """
        select c.relname::text as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'id'
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
          and a.atttypid = 'text'::regtype and not exists (
            select from pg_constraint k where k.conrelid = c.oid and k.contype = 'c'
              and (pg_get_constraintdef(k.oid) ~ '\\(id ~ ''\\^' or pg_get_constraintdef(k.oid) ~ '\\(id = '))
        order by 1
        """
    )
    others = {
        "door": "holds ids of every kind",
        "usage_event_id": "holds the id that the sender gave",
    }
    assert {row["name"] for row in rows} == set(others)


async def test_what_is_only_ever_added_can_be_neither_changed_nor_deleted(tables: dict[str, Table]) -> None:
    changing = {"UPDATE", "DELETE"}
    for name in APPEND_ONLY | {name for name, table in tables.items() if table.is_month}:
        allowed = {"DELETE"} if name in FORGOTTEN_IN_TIME else set()
        assert tables[name].may("colonnade_app") & changing == set(), name
        assert tables[name].may("colonnade_worker") & changing <= allowed, name


async def test_a_server_deletes_only_what_is_listed(tables: dict[str, Table]) -> None:
    deletable = {table.name for table in tables.values() if "DELETE" in table.may("colonnade_app")}
    assert deletable == set(APP_MAY_DELETE)


@pytest.mark.parametrize("role", ["colonnade_app", "colonnade_worker", "colonnade_lookup"])
async def test_no_role_that_works_may_do_more_than_read_and_write(tables: dict[str, Table], role: str) -> None:
    usual = {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert {table.name: table.may(role) - usual for table in tables.values() if table.may(role) - usual} == {}


async def test_no_table_is_open_to_everybody(tables: dict[str, Table]) -> None:
    assert [table.name for table in tables.values() if table.may("public")] == []


async def test_a_server_cannot_read_what_is_sealed(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    for role, may in (("colonnade_app", False), ("colonnade_worker", True)):
        assert await owner.fetchval("select has_column_privilege($1, 'provider_key', 'sealed', 'select')", role) is may
