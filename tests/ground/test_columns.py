"""Rows that are sent to a statement as columns arrive as they are, whatever they share."""

from datetime import date
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest

from colonnade.ground.core.ids import id_stream, is_id
from colonnade.ground.db import columns
from colonnade.ground.db.database import Database
from tests import factories

TEXT = "select * from unnest(@1::id[], @2::number[], @@3::text[], @@4::numeric[], @@5::date[], @@6::jsonb[]) as x"
DAY = date(2026, 2, 3)

ALIKE: list[tuple[Any, ...]] = [
    ("a", -5, "one, two", Decimal("1.5"), DAY, {"a": 1}),
    ("b", 7, "one, two", Decimal("1.5"), DAY, {"a": 1}),
]
APART: list[tuple[Any, ...]] = [
    ("a", 1, "", Decimal("1.0"), DAY, {}),
    (None, 2, None, 1, None, {"a": 1}),
    ("c", None, "NULL", 1, DAY, None),
]
EMPTY: list[tuple[Any, ...]] = [
    ("a", None, None, None, None, {}),
    ("b", None, None, None, None, {}),
    ("c", None, None, None, None, {}),
]


@pytest.mark.parametrize("rows", [ALIKE, APART, EMPTY, ALIKE[:1], EMPTY[:1]], ids=["alike", "apart", "empty", "1", "0"])
async def test_rows_arrive_as_they_were_sent(database: Database, rows: list[tuple[Any, ...]]) -> None:
    home = await factories.an_agency(database)
    async with database.transaction(home.reach) as tx:
        found = await tx.fetch(columns.numbered(TEXT, 1), *columns.sent(TEXT, rows))

    assert [tuple(row) for row in found] == rows
    assert [str(row[3]) for row in found] == [str(row[3]) for row in rows]


def test_what_all_rows_share_is_sent_once() -> None:
    names, numbers, texts, *_, many = columns.sent(TEXT, ALIKE)

    assert (names, numbers, texts, many) == ("a,b", "-5,7", ["one, two"], 2)


def test_a_stream_of_ids_has_each_once_and_in_their_order() -> None:
    found = list(islice(id_stream("chg"), 1000))

    assert found == sorted(set(found))
    assert all(is_id("chg", one) for one in found)
