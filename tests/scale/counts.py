"""How many trips to the database each hot operation makes: what the test holds it to, and what the manual says of it.

`python -m tests.scale.counts` writes the table into docs/performance.md.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.scale.relay import Counted

PAGE: Final = Path(__file__).parents[2] / "docs" / "performance.md"
BEGIN: Final = "<!-- The table is written by `make docs`. -->\n"
END: Final = "<!-- So far the table. -->\n"

COUNTS: Final[Mapping[str, Counted]] = {
    "GET /v1/whoami": Counted(0, 0),
    "GET /v1/workspaces/{id}": Counted(1, 1),
    "GET /v1/workspaces": Counted(4, 2),
    "GET /v1/workspaces, all includes": Counted(15, 13),
    "GET /v1/workspaces?q=": Counted(5, 3),
    "GET /v1/workspaces?tag=": Counted(4, 2),
    "GET /v1/workspaces/{id}/usage": Counted(4, 2),
    "POST /v1/workspaces": Counted(11, 9),
    "PATCH /v1/workspaces/{id}": Counted(9, 7),
    "GET /v1/api-keys": Counted(8, 6),
    "POST /v1/api-keys": Counted(11, 9),
    "GET /v1/members": Counted(4, 2),
    "GET /v1/audit-log": Counted(3, 1),
    "GET /v1/credits": Counted(4, 2),
    "GET /v1/credits/explain": Counted(3, 1),
    "POST /v1/credits/charges": Counted(5, 3),
    "GET /v1/credits/charges?reference=": Counted(3, 1),
    "POST /v1/credits/charges/{id}/refund": Counted(9, 5),
    "POST /v1/credits/holds": Counted(5, 3),
    "POST /v1/credits/holds/{id}/capture": Counted(8, 4),
    "GET /v1/workspaces/{id}/credit-cap": Counted(5, 3),
    "PUT /v1/workspaces/{id}/credit-cap": Counted(11, 9),
    "GET /v1/credits/ledger": Counted(4, 2),
    "GET /v1/workspaces/{id}/statements": Counted(3, 1),
    "GET /v1/usage": Counted(4, 2),
    "POST /v1/usage/events": Counted(10, 8),
    "POST /v1/usage/events, 100 of them": Counted(10, 8),
    "GET /v1/usage/alerts": Counted(4, 2),
    "GET /v1/posts?scope=agency": Counted(4, 2),
    "GET /v1/agent/approvals?scope=agency": Counted(4, 2),
}


def table() -> str:
    """The table of the manual."""
    rows = [f"| {name} | {one.trips} | {one.statements} |" for name, one in COUNTS.items()]
    return "\n".join(["| operation | trips | statements |", "|---|---:|---:|", *rows, ""])


def page(text: str) -> str:
    """The page's text with the table of now."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
