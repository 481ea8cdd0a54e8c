"""The second wall: SQL names the agency, stands in the slice that keeps the table, and widens only where listed."""

import re
from collections.abc import Iterator
from typing import Final

from tests.house.catalogue import Table, tables
from tests.house.sources import sources, sql_texts
from tests.house.test_tables import GLOBAL

__all__ = ["tables"]

READ_BY_OTHERS: Final = {
    ("workspace", "runs/approvals"): "an inbox is filtered by the tag of a workspace",
    ("workspace", "tenancy/people"): "an assignment names workspaces that are there",
}
"""Tables that another slice reads in its own statement."""

OF_THE_HOUSE: Final = {
    "idempotency": {"ground/web"},
    "outbox": {"tenancy/audit"},
}
"""Tables that no slice's store keeps."""

WIDENED: Final = {
    "tenancy/audit/verifying.py": "a log's chain is the agency's; of what lies elsewhere nothing but its place is told",
    "tenancy/keys/care.py": "members and keys of the agency make keys of its workspaces",
    "tenancy/keys/makers.py": "what somebody made may lie in any workspace",
    "tenancy/workspaces/ownership.py": "members are the agency's, also those who work in one workspace alone",
    "integrations/service.py": "the agency's own keys hold in every workspace",
    "credits/capping.py": "what a key takes is counted for all workspaces together",
    "credits/explaining.py": "what bounds a workspace is the agency's too",
    "credits/funding.py": "pools are the agency's",
    "credits/holding.py": "pools are the agency's",
    "credits/ingesting.py": "pools are the agency's",
    "credits/reporting.py": "what is left to a workspace is left in the agency's pool",
    "credits/ledger_pages.py": "a move between two pools is told to both",
    "runs/bulk/service.py": "a bulk action is the agency's, and its starter's",
}
"""Where a transaction may see the whole agency for a moment, and why."""

_NAMED: Final = re.compile(r"\b(?:from|join|update|into)\s+([a-z_]+)\b")


def _statements(names: set[str]) -> Iterator[tuple[str, str, str]]:
    """Folder, table and text of every statement that names one of these tables."""
    for source in sources():
        for line, text in sql_texts(source):
            for table in set(_NAMED.findall(text)) & names:
                yield source.path.parent.as_posix().partition("/colonnade/")[2], table, f"{source.name}:{line} {text}"


def test_every_statement_on_a_tenants_table_names_the_agency(tables: dict[str, Table]) -> None:
    tenant = set(tables) - set(GLOBAL)
    found = list(_statements(tenant))
    assert len(found) > 100
    assert [text for _, _, text in found if "agency_id" not in text] == []


def test_a_table_is_kept_by_one_slice_alone(tables: dict[str, Table]) -> None:
    keepers: dict[str, set[str]] = {}
    for folder, table, _ in _statements(set(tables) - set(GLOBAL)):
        if (table, folder) not in READ_BY_OTHERS:
            keepers.setdefault(table, set()).add(folder)
    assert {table: folders for table, folders in keepers.items() if len(folders) > 1} == {}
    for table, folders in OF_THE_HOUSE.items():
        assert keepers[table] == folders


def test_services_and_routes_hold_no_statement_on_a_tenants_table(tables: dict[str, Table]) -> None:
    wrong = [
        text.partition(" ")[0]
        for _, _, text in _statements(set(tables) - set(GLOBAL))
        if re.match(r"(\S*/)?(service|routes|model|shapes)\.py:", text)
    ]
    assert wrong == []


def test_a_transaction_is_widened_only_where_it_is_listed() -> None:
    found = {source.name for source in sources() if ".widened(" in source.text}
    assert found == set(WIDENED)


def test_transactions_are_opened_outside_of_services_and_stores() -> None:
    opening = re.compile(r"\.(transaction|reading|writing)\(")
    files = {source.name for source in sources() if re.search(r"(service|store|model)\.py$", source.name)}
    wrong = {source.name for source in sources() if source.name in files and opening.search(source.text)}
    assert wrong == {"tenancy/agencies/service.py", "tenancy/people/service.py"}, (
        "an agency is born outside of any other"
    )
