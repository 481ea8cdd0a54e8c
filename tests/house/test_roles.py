"""Who may what in the database: the roles, the functions that look past a scope, and what these may see."""

from typing import Final

import asyncpg
import pytest

from tests.house.catalogue import Table, tables
from tests.house.test_purge import PURGED

__all__ = ["tables"]

APP, WORKER, LOOKUP, OWNER = "colonnade_app", "colonnade_worker", "colonnade_lookup", "colonnade_owner"

PAST_THE_SCOPE: Final[dict[str, tuple[str, set[str]]]] = {
    "door_key": ("what stands behind a credential", {APP}),
    "rate_take": ("counts a call before anybody is known", {APP}),
    "note_key_uses": ("one batch of many agencies' keys", {APP}),
    "log_requests": ("one batch of many agencies' calls", {APP}),
    "session_door": ("a trigger: the door follows the sessions", set()),
    "door_session": ("what stands behind the cookie of a session", {APP}),
    "note_session_uses": ("one batch of many agencies' sessions", {APP}),
    "end_sessions_of_person": ("a person is signed in to several agencies", {APP}),
    "forget_sessions": ("housekeeping over all agencies", {WORKER}),
    "person_to_prove": ("people are global; what they prove themselves with", {APP}),
    "hold_person_secret": ("the same, for as long as a transaction lasts", {APP}),
    "memberships_of_person": ("where a person may sign in", {APP}),
    "people_with_two_factor": ("people are global; only those of the agency in scope", {APP}),
    "rename_person": ("people are global", {APP}),
    "keep_password": ("people are global", {APP}),
    "keep_totp": ("people are global", {APP}),
    "use_totp_step": ("people are global", {APP}),
    "keep_recovery_codes": ("people are global", {APP}),
    "use_recovery_code": ("people are global", {APP}),
    "keep_reset": ("a link for a person; mails are sent by workers", {APP, WORKER}),
    "door_reset": ("whose link it is, before anybody is known", {APP}),
    "use_reset": ("people are global", {APP}),
    "touch_workspaces": ("one batch of many agencies' workspaces", {APP, WORKER}),
    "test_twin_of": ("a live agency's test twin, which lies outside of it", {APP, WORKER}),
    "ensure_person": ("people are global", {APP}),
    "people_of_agency": ("people are global; only those of the agency in scope", {APP, WORKER}),
    "page_members": ("people are global; only those of the agency in scope", {APP}),
    "page_workspace_members": ("people are global; only those of the agency in scope", {APP}),
    "addressee": ("people are global; only those of the agency in scope, and who left it", {WORKER}),
    "door_invitation": ("what stands behind the link of an invitation", {APP}),
    "invitation_door": ("a trigger: the door follows the invitations", set()),
    "api_key_secret_door": ("a trigger: the door follows the secrets", set()),
    "claim_mail": ("workers take mails of every agency", {WORKER}),
    "mail_lag": ("numbers for the operator on the machine itself", {OWNER}),
    "forget_mail": ("housekeeping over all agencies", {WORKER}),
    "member_by_email": ("people are global; only those of the agency in scope", {APP}),
    "claim_outbox": ("workers take rows of every agency", {WORKER}),
    "admit_runs": ("workers take runs of every agency", {WORKER}),
    "set_run_task": ("notes the engine's task of an admitted run", {WORKER}),
    "runs_to_cancel": ("ids alone, of every agency", {WORKER}),
    "decisions_to_deliver": ("ids alone, of every agency", {WORKER}),
    "approvals_to_expire": ("ids alone, of every agency", {WORKER}),
    "runs_lag": ("two numbers for readiness", {APP, WORKER}),
    "forget_answers": ("housekeeping over all agencies", {WORKER}),
    "forget_requests": ("housekeeping over all agencies", {WORKER}),
    "agencies_to_seal": ("ids alone, of every agency", {WORKER}),
    "agencies_to_verify": ("ids alone, of every agency", {WORKER}),
    "agencies_to_erase": ("ids and days, of every agency", {WORKER}),
    "ledger_lag": ("two numbers for readiness", {APP, WORKER}),
    "ledgers_to_seal": ("ids alone, of every agency", {WORKER}),
    "statements_due": ("ids alone, of every agency", {WORKER}),
    "credits_due": ("ids alone, of every agency", {WORKER}),
    "cycles_due": ("ids alone, of every agency", {WORKER}),
    "credits_lag": ("two numbers for readiness", {APP, WORKER, OWNER}),
    "seal_lag": ("three numbers for readiness", {APP, WORKER, OWNER}),
    "erase_audit_payloads": ("entries never change otherwise; only those of the agency in scope", {WORKER}),
    "public_logo": ("a picture for everybody who knows its digest", {APP}),
    "purges_due": ("ids alone, of every agency", {WORKER}),
    "purge_rows": ("rows of a workspace that is being purged, and of no other", {WORKER}),
    "deployments_due": ("ids alone, of every agency", {WORKER}),
    "list_agencies": ("names for the operator on the machine itself", {OWNER}),
    "forget_event_ids": ("housekeeping over all agencies", {WORKER}),
}
"""Every function that sees more than the scope: why, and who may call it."""

AS_THE_OWNER: Final[dict[str, tuple[str, set[str]]]] = {
    "keep_usage_months": ("only the owner of a table makes and drops its partitions", {WORKER}),
}
"""Every function that changes the schema itself: why, and who may call it. Rows it sees no more than its owner does."""

LOOKED_UP: Final = {
    ("agency", "r"),
    ("agency_logo", "r"),
    ("api_key", "r"),
    ("api_key_secret", "r"),
    ("api_key_use", "*"),
    ("approval", "r"),
    ("audit_check", "r"),
    ("audit_entry", "r"),
    ("audit_entry", "w"),
    ("audit_head", "r"),
    ("audit_unsealed", "r"),
    ("credit_cycle", "r"),
    ("credit_grant", "r"),
    ("credit_hold", "r"),
    ("idempotency", "r"),
    ("idempotency", "d"),
    ("invitation", "r"),
    ("ledger_unsealed", "r"),
    ("mail", "r"),
    ("mail", "w"),
    ("mail", "d"),
    ("member", "r"),
    ("outbox", "r"),
    ("outbox", "w"),
    ("request_log", "a"),
    ("request_log", "r"),
    ("request_log", "d"),
    ("run", "r"),
    ("run", "w"),
    ("session", "*"),
    ("statement_calendar", "r"),
    ("template_deployment", "r"),
    ("usage_event_id", "r"),
    ("usage_event_id", "d"),
    ("workspace", "r"),
    ("workspace_activity", "r"),
    ("workspace_activity", "a"),
    ("workspace_activity", "w"),
    ("workspace_member", "r"),
}
"""Where those functions see past the scope: table and command."""

LOOKUP_WRITES: Final = {
    "api_key_use": {"INSERT", "UPDATE"},
    "audit_entry": {"UPDATE"},
    "door": {"INSERT", "DELETE"},
    "idempotency": {"DELETE"},
    "mail": {"UPDATE", "DELETE"},
    "outbox": {"UPDATE"},
    "password_reset": {"INSERT", "UPDATE", "DELETE"},
    "person": {"INSERT", "UPDATE"},
    "person_secret": {"INSERT", "UPDATE"},
    "rate_window": {"INSERT", "UPDATE", "DELETE"},
    "recovery_code": {"INSERT", "DELETE"},
    "request_log": {"INSERT", "DELETE"},
    "run": {"UPDATE"},
    "session": {"UPDATE", "DELETE"},
    "usage_event_id": {"DELETE"},
    "workspace_activity": {"INSERT", "UPDATE"},
}

_FUNCTIONS: Final = """
select p.proname::text as name, p.prosecdef as past, pg_get_userbyid(p.proowner)::text as owner,
       coalesce(p.proconfig, '{}') as settings, p.proacl is null as open,
       array(select coalesce(r.rolname::text, 'public') from aclexplode(p.proacl) as x
             left join pg_roles r on r.oid = x.grantee where x.grantee <> p.proowner) as callers
from pg_proc p where p.pronamespace = 'public'::regnamespace
"""


async def test_the_functions_that_look_past_the_scope_are_those_on_the_list(
    owner: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    found = {row["name"]: row for row in await owner.fetch(_FUNCTIONS) if row["past"]}
    listed = PAST_THE_SCOPE | AS_THE_OWNER
    assert set(found) == set(listed)
    for name, row in found.items():
        assert row["owner"] == (OWNER if name in AS_THE_OWNER else LOOKUP), name
        assert row["settings"][0] == "search_path=pg_catalog, public, pg_temp", name
        assert set(row["settings"][1:]) <= {"plan_cache_mode=force_generic_plan", "lock_timeout=2s"}, name
        assert not row["open"], name
        assert set(row["callers"]) == listed[name][1], name


async def test_no_function_elsewhere_looks_past_the_scope(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    rows = await owner.fetch(
        """select p.oid::regprocedure::text as name from pg_proc p join pg_namespace n on n.oid = p.pronamespace
           where p.prosecdef and n.nspname not in ('public', 'pg_catalog', 'information_schema')"""
    )
    assert [row["name"] for row in rows] == []


async def test_the_role_that_looks_up_sees_past_the_scope_exactly_where_it_is_listed(tables: dict[str, Table]) -> None:
    found = {
        (table.name, policy.command)
        for table in tables.values()
        for policy in table.policies
        if policy.roles == (LOOKUP,)
    }
    assert found == LOOKED_UP


async def test_the_role_that_looks_up_writes_only_what_is_listed(tables: dict[str, Table]) -> None:
    writes = {table.name: table.may(LOOKUP) - {"SELECT"} for table in tables.values()}
    purged = {name: LOOKUP_WRITES.get(name, set()) | {"DELETE"} for name in PURGED}
    assert {name: rights for name, rights in writes.items() if rights} == {**LOOKUP_WRITES, **purged}


async def test_the_role_that_looks_up_changes_nothing_of_a_run_but_its_admission(
    owner: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    rows = await owner.fetch(
        """select column_name::text as name from information_schema.column_privileges
           where table_name = 'run' and grantee = $1 and privilege_type = 'UPDATE'""",
        LOOKUP,
    )
    assert {row["name"] for row in rows} == {"admitted_at", "task_id", "updated_at"}


async def test_the_role_that_looks_up_changes_nothing_of_an_audit_entry_but_its_payload(
    owner: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    rows = await owner.fetch(
        """select column_name::text as name from information_schema.column_privileges
           where table_name = 'audit_entry' and grantee = $1 and privilege_type = 'UPDATE'""",
        LOOKUP,
    )
    assert {row["name"] for row in rows} == {"before", "after"}


@pytest.mark.parametrize("role", [APP, WORKER, LOOKUP, OWNER])
async def test_no_role_is_above_row_security(owner: "asyncpg.Connection[asyncpg.Record]", role: str) -> None:
    row = await owner.fetchrow("select rolsuper, rolbypassrls, rolcanlogin from pg_roles where rolname = $1", role)
    assert row is not None
    assert (row["rolsuper"], row["rolbypassrls"]) == (False, False)
    assert row["rolcanlogin"] == (role != LOOKUP)


@pytest.mark.parametrize("role", [APP, WORKER])
async def test_a_role_that_works_owns_nothing_and_becomes_nobody_else(
    owner: "asyncpg.Connection[asyncpg.Record]", role: str
) -> None:
    owned = await owner.fetchval("select count(*) from pg_class where relowner = $1::text::regrole", role)
    functions = await owner.fetchval("select count(*) from pg_proc where proowner = $1::text::regrole", role)
    member_of = await owner.fetchval("select count(*) from pg_auth_members where member = $1::text::regrole", role)
    may_create = await owner.fetchval("select has_schema_privilege($1, 'public', 'create')", role)
    assert (owned, functions, member_of, may_create) == (0, 0, 0, False)


async def test_the_role_that_looks_up_owns_functions_and_no_table(tables: dict[str, Table]) -> None:
    assert {table.owner for table in tables.values()} == {OWNER}


async def test_servers_never_see_the_engine(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    for role, sees in ((APP, False), (LOOKUP, False), (WORKER, True)):
        assert await owner.fetchval("select has_schema_privilege($1, 'absurd', 'usage')", role) is sees
