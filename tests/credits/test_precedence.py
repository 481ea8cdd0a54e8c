"""The manual tells limits in the order in which they are compared, and prices as they are."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from colonnade.credits.cycles import CycleRule, aligned
from colonnade.credits.model import PRICES, Source
from colonnade.credits.rules import Cap, Limit, Standing, WorkspaceTerms, limits
from colonnade.ground.core.amounts import MilliCredits, to_text

MANUAL = (Path(__file__).parents[2] / "docs" / "credits.md").read_text("utf-8")

WORKSPACE = "ws_1"
KEY = "key_1"


def _cap(level: Any, feature: str | None) -> Cap:
    of_workspace, of_key = (WORKSPACE, None) if level == "workspace" else (None, KEY if level == "key" else None)
    return Cap(f"cap_{level}_{feature}", level, of_workspace, of_key, feature, MilliCredits(1))


def _standing(source: Source) -> Standing:
    """One cap on each level, and a workspace that may borrow, told in the worst order."""
    at, zone = datetime(2026, 2, 3, tzinfo=UTC), ZoneInfo("UTC")
    caps = [_cap(level, feature) for level in ("agency", "workspace", "key") for feature in (None, "generation")]
    terms = {WORKSPACE: WorkspaceTerms(source, MilliCredits(1))}
    rule = CycleRule()
    return Standing(at, aligned(rule, zone, at), zone, rule=rule, pools={}, tallies={}, caps=caps, terms=terms)


def _row(number: int, limit: Limit) -> tuple[str, str, str, str]:
    source = "workspace or agency" if limit.kind == "pool" else limit.source
    return str(number), limit.kind, source, "everything" if limit.feature is None else "the feature"


def test_the_manual_tells_limits_in_the_order_in_which_they_are_compared() -> None:
    told = MANUAL.partition("<!-- The order of limits. -->")[2].partition("<!-- So far the order of limits. -->")[0]
    rows = re.findall(r"^\| (\d) \| (\w+) \| ([\w ]+) \| ([\w ]+) \|$", told, re.MULTILINE)

    found = limits(_standing(Source.WORKSPACE), WORKSPACE, ["generation"], KEY)

    assert rows == [_row(number, limit) for number, limit in enumerate(found, start=1)]


def test_who_pays_from_the_agencys_pool_borrows_nothing() -> None:
    found = limits(_standing(Source.AGENCY), WORKSPACE, ["generation"], KEY)

    assert [limit.id for limit in found if limit.kind != "cap"] == ["pool"]


def test_a_cap_of_another_workspace_feature_or_key_bounds_nothing() -> None:
    standing = _standing(Source.AGENCY)

    elsewhere = limits(_beside(standing), "ws_2", ["publish"], "key_2")

    assert [limit.id for limit in elsewhere] == ["cap_agency_None", "pool"]


def _beside(standing: Standing) -> Standing:
    standing.terms = {**standing.terms, "ws_2": WorkspaceTerms(Source.AGENCY)}
    return standing


def test_the_manual_tells_every_default_price() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\w ]+) \|$", MANUAL, re.MULTILINE)

    assert rows == [(name, to_text(price.credits), price.unit) for name, price in PRICES.items()]
