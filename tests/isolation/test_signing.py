"""Reports: signed as they stand, checked by anybody, shown without telling what is not in them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from colonnade import isolation
from colonnade.isolation import Branding, Failure, Record, Side, Subject

SEED, OTHER = bytes(range(32)), bytes(range(1, 33))
AT = datetime(2026, 2, 1, 12, tzinfo=UTC)


def record() -> Record:
    sides = [Side("workspace", "ws_1", "Acme <script>alert(1)</script>"), Side("workspace", "ws_2", "Bolt")]
    subject = Subject("https://agency.example", "ab12", "1", "cd34", sides, reads_only=True, agency="Northlight")
    made = Record(subject, AT, ["GET /v1/posts"])
    made.credentials["key of Acme"] = "a key"
    made.walk.tried["key of Acme", "GET /v1/posts", "list"] += 1
    made.walk.statuses["key of Acme", 200] += 1
    return made


def report(made: Record | None = None) -> dict[str, Any]:
    return isolation.signed((made or record()).told(AT), SEED)


def test_a_report_is_checked_by_the_public_key_alone() -> None:
    read_again = json.loads(json.dumps(report(), indent=3))

    assert isolation.check(read_again, isolation.public_key(SEED)).ok


@pytest.mark.parametrize("field", ["verdict", "requests", "endedAt", "untried", "between"])
def test_a_report_that_was_changed_is_noticed(field: str) -> None:
    changed = {**report(), field: "another"}

    checked = isolation.check(changed, isolation.public_key(SEED))

    assert (checked.ok, checked.says) == (False, "it was changed after it was signed")


def test_a_report_of_another_installation_is_noticed_though_it_carries_its_own_key() -> None:
    checked = isolation.check(isolation.signed(record().told(AT), OTHER), isolation.public_key(SEED))

    assert not checked.ok
    assert isolation.fingerprint(isolation.public_key(OTHER)) in checked.says


@pytest.mark.parametrize("nonsense", [None, [], {}, {"signature": 1}, {"signature": {"value": "-", "publicKey": "-"}}])
def test_what_is_no_report_is_refused_without_ado(nonsense: Any) -> None:
    assert not isolation.check(nonsense, isolation.public_key(SEED)).ok
    assert not isolation.check(report(), "no key").ok


def test_nothing_tried_proves_nothing() -> None:
    made = record()
    made.walk.tried.clear()

    assert report(made)["verdict"] == "leaking"


def test_one_failure_or_one_change_is_a_leak() -> None:
    failing, changed = record(), record()
    failing.walk.failures.append(
        Failure("key of Acme", "GET /v1/posts", "list", "", "GET /v1/posts", 200, "tells", "{}")
    )
    changed.changed.append("GET /v1/posts")

    assert [report(one)["verdict"] for one in (record(), failing, changed)] == ["separated", "leaking", "leaking"]


def test_the_page_runs_nothing_loads_nothing_and_shows_names_as_texts() -> None:
    page = isolation.page(report(), Branding("Northlight", "#123456"))

    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "src=" not in page
    assert "#123456" in page
    assert isolation.fingerprint(isolation.public_key(SEED)) in page


@pytest.mark.parametrize("colour", ["#ffff00", "red; } body { display: none", None])
def test_a_colour_that_cannot_be_read_or_is_none_does_not_dress_the_page(colour: str | None) -> None:
    page = isolation.page(report(), Branding("Northlight", colour))

    assert "--accent: #8a4a24" in page
