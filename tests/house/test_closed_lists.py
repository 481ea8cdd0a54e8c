"""Closed lists: what stands on one is used, or waits for a storey that is to come; what is used stands on one."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from colonnade.ground.core.events import EVENTS
from colonnade.ground.core.ids import PREFIXES
from colonnade.ground.core.reasons import REASONS
from colonnade.ground.core.refusals import Kind
from colonnade.ground.core.scopes import AGENCY_SCOPES, PRESETS, ROLES, SCOPES, WORKSPACE_SCOPES
from colonnade.settings import Settings
from tests.house.sources import PACKAGE, sources

LISTS: Final = (
    *("ground/core/events.py", "ground/core/ids.py", "ground/core/scopes.py"),
    *("ground/core/reasons.py", "ground/core/caller_reasons.py"),
)

LATER_SCOPES: Final = {
    *("clients:create", "clients:delete", "clients:edit", "clients:read"),
    *("links:create", "links:delete", "links:edit", "links:read", "links:tokens"),
    *("keywords:read", "keywords:write", "outreach:read", "outreach:write", "research:read", "research:write"),
    *("reports:read", "reports:write", "webhooks:read", "webhooks:write"),
}
LATER_PREFIXES: Final = {
    *("areq", "client", "file", "form", "kw", "page", "rfn", "sched", "skill"),
    "whk",
}
LATER_REASONS: Final[set[str]] = set()
LATER_EVENTS: Final = {
    "usage.exported",
}
"""Written down with the contract; their storeys are to come. What comes into use leaves the list."""

BY_THEIR_STATE: Final = {"runs.succeeded", "runs.failed", "runs.cancelled"}
"""Events whose name is made of the state that a run ends in."""


def _texts() -> set[str]:
    """Every text constant of the package, but for the lists themselves."""
    trees = [source.tree for source in sources() if source.name not in LISTS]
    nodes = (node for tree in trees for node in ast.walk(tree))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _calls(name: str) -> Iterator[ast.Call]:
    for source in sources():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name:
                yield node


def _given(name: str, position: int) -> set[str]:
    """The texts that stand at this place of every call of the name."""
    arguments = [call.args[position] for call in _calls(name) if len(call.args) > position]
    return {one.value for one in arguments if isinstance(one, ast.Constant) and isinstance(one.value, str)}


def test_every_scope_is_asked_for_or_is_to_come() -> None:
    assert set(SCOPES) - _texts() == LATER_SCOPES


def test_every_scope_that_is_asked_for_stands_on_the_list() -> None:
    assert (_given("require", 0) | _given("holds", 0)) - set(SCOPES) == set()


def test_presets_and_roles_hold_scopes_of_the_list() -> None:
    for held in (*PRESETS.values(), *ROLES.values(), WORKSPACE_SCOPES, AGENCY_SCOPES):
        assert held <= set(SCOPES)
    assert AGENCY_SCOPES >= WORKSPACE_SCOPES
    assert not {"workspaces:govern", "workspaces:act"} & WORKSPACE_SCOPES


def test_every_event_happens_or_is_to_come() -> None:
    assert set(EVENTS) - _texts() == BY_THEIR_STATE | LATER_EVENTS


def test_every_event_that_is_recorded_stands_on_the_list() -> None:
    assert (_given("record", 2) | _given("Fact", 0)) - set(EVENTS) == set()


def test_every_reason_is_given_or_is_to_come() -> None:
    assert set(REASONS) - _texts() == LATER_REASONS


def test_every_reason_that_is_given_stands_on_the_list_with_a_known_kind() -> None:
    assert _given("Refused", 0) - set(REASONS) == set()
    assert {reason.kind for reason in REASONS.values()} <= {kind.value for kind in Kind}


def test_every_prefix_is_given_to_something_or_is_to_come() -> None:
    migrations = (PACKAGE / "ground" / "db" / "migrations").glob("*.sql")
    kept = "\n".join(path.read_text("utf-8") for path in migrations)
    checked = set(re.findall(r"'\^\(?([a-z_|]+?)\)?_", kept))
    stored = {prefix for group in checked for prefix in group.split("|")}
    given = _given("new_id", 0)
    assert (given | stored) - set(PREFIXES) == set()
    assert set(PREFIXES) - given - stored == LATER_PREFIXES


def test_every_setting_is_read_by_a_process() -> None:
    processes = [source for source in sources() if not source.name.startswith("ground/")]
    read = {
        node.attr
        for source in processes
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value).rpartition(".")[2] in {"settings", "self"}
    }
    assert set(Settings.model_fields) - read == set()
    assert all(field.description for field in Settings.model_fields.values())
