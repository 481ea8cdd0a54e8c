from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.ground.core.callers import Caller, CallerKind
from colonnade.ground.core.ids import new_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.core.scopes import AGENCY_SCOPES
from colonnade.tenancy.agencies import GATES, LOCKABLE, Agency
from colonnade.tenancy.agencies.model import settings_in_force
from colonnade.tenancy.workspaces.settings import effective, leaves, require_settable
from tests.factories import agency_caller

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GATE_WORDS = st.sampled_from(["auto", "require_approval"])


def an_agency_with(settings: Mapping[str, Any]) -> Agency:
    return Agency(new_id("agency"), None, "Northlight", None, {}, settings, 1, NOW, NOW)


@pytest.mark.parametrize(
    ("own", "above", "locked", "value", "source"),
    [
        (None, None, False, "require_approval", "default"),
        (None, "auto", False, "auto", "agency"),
        ("auto", None, False, "auto", "workspace"),
        ("auto", "require_approval", False, "auto", "workspace"),
        ("require_approval", "auto", False, "require_approval", "workspace"),
        ("auto", "require_approval", True, "require_approval", "agency"),
        ("require_approval", "auto", True, "auto", "agency"),
        ("auto", None, True, "require_approval", "default"),
        (None, "auto", True, "auto", "agency"),
    ],
)
def test_a_gate_follows_the_workspace_then_the_agency_then_the_default_and_a_lock_skips_the_workspace(
    own: str | None, above: str | None, locked: bool, value: str, source: str
) -> None:
    settings: dict[str, Any] = {"lockedSettings": ["approvalPolicy.publish"]} if locked else {}
    if above:
        settings["defaultApprovalPolicy"] = {"publish": above}

    found = effective(an_agency_with(settings).settings, {"approvalPolicy": {"publish": own}} if own else {})

    assert found.values["approvalPolicy"]["publish"] == value
    assert found.sources["approvalPolicy.publish"] == {"source": source, "locked": locked}


def test_nothing_said_means_that_what_the_world_sees_waits_for_a_person() -> None:
    found = effective(an_agency_with({}).settings, {})

    assert found.values == {
        "primaryLocation": None,
        "primaryLanguage": None,
        "defaultModel": None,
        "creditPool": "agency",
        "borrowLimit": None,
        "approvalPolicy": {
            "publish": "require_approval",
            "outreach_send": "require_approval",
            "indexing_submit": "auto",
        },
        "byok": {},
        "publishing": {"kind": "folder"},
    }
    assert {source["source"] for source in found.sources.values()} == {"default"}


def test_a_lock_on_the_whole_policy_locks_every_gate() -> None:
    agency = an_agency_with({"lockedSettings": ["approvalPolicy"]})

    found = effective(agency.settings, {"approvalPolicy": dict.fromkeys(GATES, "auto")})

    assert all(found.sources[f"approvalPolicy.{gate}"]["locked"] for gate in GATES)
    assert found.values["approvalPolicy"]["publish"] == "require_approval"


@given(
    own=st.dictionaries(st.sampled_from(GATES), GATE_WORDS),
    above=st.dictionaries(st.sampled_from(GATES), GATE_WORDS),
    locks=st.lists(st.sampled_from(LOCKABLE), unique=True),
)
def test_every_value_is_the_one_that_its_source_names(
    own: dict[str, str], above: dict[str, str], locks: list[str]
) -> None:
    agency = an_agency_with({"defaultApprovalPolicy": above, "lockedSettings": locks})

    found = effective(agency.settings, {"approvalPolicy": own})

    for gate in GATES:
        told = found.sources[f"approvalPolicy.{gate}"]
        value = found.values["approvalPolicy"][gate]
        assert told["locked"] == (bool({"approvalPolicy", f"approvalPolicy.{gate}"} & set(locks)))
        if told["source"] == "workspace":
            assert (value, told["locked"]) == (own[gate], False)
        elif told["source"] == "agency":
            assert value == above[gate]
        else:
            assert gate not in above


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "primaryLocation": st.sampled_from(["uk", "de"]),
    "primaryLanguage": st.sampled_from(["en", "de"]),
    "defaultModel": st.sampled_from(["model-a", "model-b"]),
    "creditPool": st.sampled_from(["workspace", "agency"]),
    "borrowLimit": st.integers(0, 3),
    "byok": st.sampled_from([{"openai": True}, {"openai": False}]),
    "publishing": st.just({"kind": "webhook", "url": "https://cms.example/in"}),
}
OWN = st.fixed_dictionaries(
    {}, optional={**VALUES, "approvalPolicy": st.dictionaries(st.sampled_from(GATES), GATE_WORDS)}
)
ABOVE = st.fixed_dictionaries(
    {},
    optional={
        "defaultModel": VALUES["defaultModel"],
        "creditPool": VALUES["creditPool"],
        "defaultApprovalPolicy": st.dictionaries(st.sampled_from(GATES), GATE_WORDS),
        "lockedSettings": st.lists(st.sampled_from(LOCKABLE), unique=True),
    },
)


@given(own=OWN, above=ABOVE)
def test_every_setting_comes_from_the_nearest_that_may_say_and_its_source_tells_which(
    own: dict[str, Any], above: dict[str, Any]
) -> None:
    nothing = effective({}, {})
    of_agency = {**{f"approvalPolicy.{g}": w for g, w in above.get("defaultApprovalPolicy", {}).items()}, **above}

    found = effective(above, own)

    assert found.values.keys() == nothing.values.keys()
    assert found.sources.keys() == nothing.sources.keys() == leaves(found.values).keys()
    for path, value in leaves(found.values).items():
        is_locked = {path, path.partition(".")[0]} & set(above.get("lockedSettings", ())) != set()
        told = [("workspace", leaves(own)[path])] if path in leaves(own) and not is_locked else []
        told += [("agency", of_agency[path])] if path in of_agency else []
        told += [("default", leaves(nothing.values)[path])]
        assert (found.sources[path], value) == ({"source": told[0][0], "locked": is_locked}, told[0][1]), path


@given(above=ABOVE)
def test_what_the_agency_is_told_to_hold_is_what_its_workspaces_inherit(above: dict[str, Any]) -> None:
    values, sources = settings_in_force(above)
    inherited = effective(above, {})

    assert values["creditPool"] == inherited.values["creditPool"]
    assert values["defaultModel"] == inherited.values["defaultModel"]
    assert values["defaultApprovalPolicy"] == inherited.values["approvalPolicy"]
    for name in ("creditPool", "defaultModel"):
        assert sources[name] == inherited.sources[name]["source"]
    for gate in GATES:
        assert sources[f"defaultApprovalPolicy.{gate}"] == inherited.sources[f"approvalPolicy.{gate}"]["source"]


@pytest.mark.parametrize(
    "settings", [{"approvalPolicy": {"publish": "auto"}}, {"creditPool": "workspace"}, {"borrowLimit": 5}]
)
def test_what_governs_approvals_and_money_needs_a_scope_of_its_own(settings: dict[str, Any]) -> None:
    agency = an_agency_with({})
    manager = agency_caller(agency.id, scopes=AGENCY_SCOPES - {"workspaces:govern"})

    with pytest.raises(Refused) as refused:
        require_settable(manager, agency, {}, settings)

    assert refused.value.reason == "keys.scope_missing"
    require_settable(agency_caller(agency.id), agency, {}, settings)


def test_a_workspace_key_never_governs_whatever_scopes_it_came_by() -> None:
    agency = an_agency_with({})
    caller: Caller = replace(agency_caller(agency.id), kind=CallerKind.WORKSPACE_KEY)

    with pytest.raises(Refused) as refused:
        require_settable(caller, agency, {}, {"creditPool": "workspace"})

    assert refused.value.reason == "keys.wrong_kind"


@pytest.mark.parametrize("path", ["defaultModel", "byok", "publishing", "creditPool"])
def test_a_locked_setting_is_refused_by_name_but_may_be_taken_back(path: str) -> None:
    agency = an_agency_with({"lockedSettings": [path]})
    values: dict[str, Any] = {"byok": {"openai": True}, "publishing": {"kind": "folder"}, "creditPool": "workspace"}
    own = {path: values.get(path, "some-model")}

    with pytest.raises(Refused) as refused:
        require_settable(agency_caller(agency.id), agency, {}, own)

    assert refused.value.reason == "settings.locked"
    assert refused.value.details == {"settings": [path]}
    require_settable(agency_caller(agency.id), agency, own, {})
    require_settable(agency_caller(agency.id), agency, own, own)
