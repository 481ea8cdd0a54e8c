"""The rules of credits that need no database: cycles, prices, lots; and CSV text."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.credits.counting import settling
from colonnade.credits.cycles import CycleRule, aligned, following
from colonnade.credits.lots import Draw, Lot, Pool, give_back
from colonnade.credits.model import PRICES, Hold, HoldState, PriceList
from colonnade.ground.core.amounts import ZERO, MilliCredits
from colonnade.ground.core.csv_text import csv_text

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


MINUTES = st.integers(0, 60 * 24 * 366 * 80)
ZONES = st.sampled_from(["UTC", "America/St_Johns", "Pacific/Apia", "Europe/Berlin", "Pacific/Kiritimati"])


RULES = st.one_of(
    st.integers(1, 28).map(lambda day: CycleRule(anchor_day=day)),
    st.builds(
        lambda days, anchor: CycleRule("rolling", days, anchor=anchor),
        st.integers(1, 366),
        st.dates(date(2000, 1, 1), date(2060, 1, 1)),
    ),
)
INSTANTS = MINUTES.map(lambda minutes: datetime(2000, 1, 2, tzinfo=UTC) + timedelta(minutes=minutes))


@given(RULES, INSTANTS, ZONES)
def test_cycles_of_a_rule_follow_each_other_without_a_gap(rule: CycleRule, at: datetime, name: str) -> None:
    zone = ZoneInfo(name)

    cycle = aligned(rule, zone, at)
    later = following(rule, zone, cycle, cycle.ends_at)

    assert cycle.starts_at <= at < cycle.ends_at
    assert (later.starts_at, later.starts_on) == (cycle.ends_at, aligned(rule, zone, cycle.ends_at).starts_on)
    assert CycleRule.of(rule.to_json()) == rule


@given(RULES, RULES, INSTANTS, ZONES, ZONES, st.integers(0, 500_000))
def test_another_rule_counts_from_the_end_of_the_running_cycle(
    old: CycleRule, new: CycleRule, at: datetime, here: str, there: str, idle_minutes: int
) -> None:
    last = aligned(old, ZoneInfo(here), at)
    then = last.ends_at + timedelta(minutes=idle_minutes)

    fresh = following(new, ZoneInfo(there), last, then)

    assert last.ends_at <= fresh.starts_at <= then < fresh.ends_at
    assert fresh.ends_at - fresh.starts_at >= timedelta(hours=22)
    assert fresh.starts_on > last.starts_on
    assert aligned(new, ZoneInfo(there), fresh.ends_at).starts_at == fresh.ends_at


def test_a_month_of_the_zone_is_not_a_month_of_greenwich() -> None:
    cycle = aligned(CycleRule(), ZoneInfo("Europe/Berlin"), datetime(2026, 2, 28, 23, 30, tzinfo=UTC))

    assert (cycle.starts_on.month, cycle.ends_at) == (3, datetime(2026, 3, 31, 22, tzinfo=UTC))


def test_an_estimate_is_the_sum_of_prices_and_never_a_broken_milli_credit() -> None:
    prices = PriceList()

    assert prices.estimate({"generation": 3, "rank_check": 7, "publish": 1}) == 34_500
    assert prices.estimate({"rank_check": Decimal("0.0001")}) == 1
    assert prices.estimate({}) == 0
    assert PriceList(4, {"publish": MilliCredits(2_500)}).estimate({"publish": 2, "refine": 1}) == 10_000
    with pytest.raises(KeyError):
        prices.of("nonsense")
    assert min(price.credits for price in PRICES.values()) == 0


AMOUNTS = st.lists(st.integers(0, 50), max_size=6)


@given(AMOUNTS, st.integers(0, 300))
def test_drawing_takes_all_or_nothing_in_order(amounts: list[int], wanted: int) -> None:
    pool = Pool("pool", [Lot(str(n), MilliCredits(amount), None, 0) for n, amount in enumerate(amounts)])

    draws = pool.draw(MilliCredits(wanted), NOON)

    left = [lot.remaining for lot in pool.lots]
    assert (draws is None) == (wanted > sum(amounts))
    assert sum(amounts) - sum(left) == (0 if draws is None else wanted)
    emptied = [rest < amount for rest, amount in zip(left, amounts, strict=True) if amount]
    assert emptied == sorted(emptied, reverse=True)


@given(st.lists(st.integers(1, 50), max_size=6), st.data())
def test_what_goes_back_fits_into_what_was_drawn(amounts: list[int], data: st.DataObject) -> None:
    draws = [Draw(str(number), MilliCredits(amount)) for number, amount in enumerate(amounts)]
    back = data.draw(st.integers(0, sum(amounts)))

    parts = {part.grant_id: part.amount for part in give_back(draws, MilliCredits(back))}

    assert sum(parts.values()) == back
    assert all(parts.get(draw.grant_id, 0) <= draw.amount for draw in draws)


@given(st.dictionaries(st.sampled_from("abc"), st.integers(0, 50), min_size=1), st.data())
def test_what_a_hold_counts_for_caps_never_grows_when_it_ends(parts: dict[str, int], data: st.DataObject) -> None:
    amount = sum(parts.values())
    captured = {"a": data.draw(st.integers(0, amount))}
    captured["z"] = data.draw(st.integers(0, amount - captured["a"]))
    total = sum(captured.values())
    borrowed = data.draw(st.integers(0, amount))
    hold = a_hold(amount, borrowed, {name: MilliCredits(part) for name, part in parts.items()})
    used = {name: MilliCredits(part) for name, part in captured.items()}

    counts = {count.subject: count for count in settling(hold, used, MilliCredits(amount - total))}

    features = [counts[f"agency#{name}"] for name in parts]
    pools = [counts[name] for name in ("pool:ws_1", "pool") if name in counts]
    assert all(0 <= count.used <= parts[name] for name, count in zip(parts, features, strict=True))
    for level in ([counts["agency"]], features, pools):
        assert all(count.taken <= 0 for count in level)
        assert sum(count.taken for count in level) == total - amount
        assert sum(count.used for count in level) == total


def a_hold(amount: int, borrowed: int, parts: dict[str, MilliCredits]) -> Hold:
    """An open hold on a workspace's own pool."""
    return Hold(
        id="hold_1",
        workspace_id="ws_1",
        pool_id="pool:ws_1",
        amount=MilliCredits(amount),
        captured=ZERO,
        released=ZERO,
        state=HoldState.OPEN,
        reference="inv_1",
        feature="a",
        run_id="inv_1",
        key_id=None,
        cycle=NOON.date(),
        expires_at=None,
        settled_at=None,
        created_at=NOON,
        borrowed=MilliCredits(borrowed),
        parts=parts,
    )


CELLS = st.text(alphabet=st.one_of(st.sampled_from("=+-@\t\r\n\",' "), st.characters(codec="utf-8")), max_size=12)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=5))
def test_csv_text_reads_back_as_written_and_holds_no_formula(rows: list[list[str]]) -> None:
    text = csv_text(rows)

    back = list(csv.reader(io.StringIO(text, newline="")))
    assert [[cell.removeprefix("'") for cell in row] for row in back] == [
        [cell.removeprefix("'") for cell in row] for row in rows
    ]
    assert not [cell for row in back for cell in row if cell[:1] in tuple("=+-@\t\r")]
    assert text.count("\r\n") >= len(rows)


def test_numbers_stay_numbers_in_csv_text() -> None:
    assert csv_text([("a", -5, Decimal("-0.500"), None, "-5")]) == "a,-5,-0.500,,'-5\r\n"
