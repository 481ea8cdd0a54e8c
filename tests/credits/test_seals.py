"""The seal of the ledger: what is entered stands in the chain of its account soon after, and stays what it was."""

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from colonnade import credits
from colonnade.credits import seal_store
from colonnade.credits.ledger_seals import Block, Chain, Line, block_text, blocks_of, digest_of, entry_text, wrong_mac
from colonnade.credits.seal_jobs import LedgerSealer
from colonnade.credits.sealing import seal
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.refusals import Refused
from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db.database import Database
from tests.conftest import PEPPER
from tests.credits.homes import Home, a_home, used, work
from tests.house.sources import sources

A_LINE = Line(
    id="led_01k3n5q7s9v1x3z5b7d9f1h3j5",
    transfer_id="chg_01k3n5q7s9v1x3z5b7d9f1h3j6",
    account_id="used:ws_01k3n5q7s9v1x3z5b7d9f1h3j7",
    account_version=7,
    workspace_id="ws_01k3n5q7s9v1x3z5b7d9f1h3j7",
    amount=MilliCredits(1500),
    balance_after=MilliCredits(9500),
    at=datetime(2026, 1, 31, 23, 59, 59, 123456, UTC),
    kind="charge",
    rule="agency pool",
    price_version=3,
    unit_price=MilliCredits(500),
    quantity=Decimal("3.000"),
    source="crm",
    reference="order é 1",
    feature="generation",
    model=None,
    run_id=None,
    grant_id="grant_01k3n5q7s9v1x3z5b7d9f1h3j8",
    hold_id=None,
    charge_id=None,
    key_id="key_01k3n5q7s9v1x3z5b7d9f1h3j9",
    actor_id="key_01k3n5q7s9v1x3z5b7d9f1h3j9",
    actor_name='the "CRM"',
    request_id="req_1",
)
A_CHAIN = Chain("agency_01k3n5q7s9v1x3z5b7d9f1h3ja", A_LINE.account_id)


def test_an_entry_is_always_sealed_as_the_same_text() -> None:
    text = entry_text(A_CHAIN.agency_id, A_LINE)

    assert text == (
        '["colonnade.ledger.1","agency_01k3n5q7s9v1x3z5b7d9f1h3ja","ws_01k3n5q7s9v1x3z5b7d9f1h3j7",'
        '"used:ws_01k3n5q7s9v1x3z5b7d9f1h3j7",7,"led_01k3n5q7s9v1x3z5b7d9f1h3j5",1500,9500,'
        '"2026-01-31T23:59:59.123456Z","chg_01k3n5q7s9v1x3z5b7d9f1h3j6","charge","agency pool",3,500,"3.000","crm",'
        '"order \\u00e9 1","generation",null,null,"grant_01k3n5q7s9v1x3z5b7d9f1h3j8",null,null,'
        '"key_01k3n5q7s9v1x3z5b7d9f1h3j9","key_01k3n5q7s9v1x3z5b7d9f1h3j9","the \\"CRM\\"","req_1"]'
    )
    assert digest_of(text).hex() == "68f91ad9ab1d6e719f4269f9813e19f399552b77a4678dfca0381e605aff9876"
    assert (
        A_CHAIN.hash_of(7, bytes(32), [digest_of(text)]).hex()
        == "cabba358508510cbc4f226b132622056357f9f620a8e19434650743cc64c2d4e"
    )


def _another(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(microsecond=value.microsecond + 1)
    return "another" if value is None or isinstance(value, str) else value + 1


def test_every_field_of_a_line_is_sealed() -> None:
    sealed = entry_text(A_CHAIN.agency_id, A_LINE)
    for name in Line.__slots__:
        value = getattr(A_LINE, name)
        other: dict[str, Any] = {name: _another(value)}
        changed = replace(A_LINE, **other)
        assert entry_text(A_CHAIN.agency_id, changed) != sealed, name


def test_a_block_tells_whose_it_is_where_it_stands_and_what_is_in_it() -> None:
    digests = [digest_of(str(number)) for number in range(3)]
    known = A_CHAIN.hash_of(1, None, digests)

    others = [
        Chain(A_CHAIN.agency_id, "pool").hash_of(1, None, digests),
        Chain("agency_other", A_CHAIN.account_id).hash_of(1, None, digests),
        A_CHAIN.hash_of(2, None, digests),
        A_CHAIN.hash_of(1, known, digests),
        A_CHAIN.hash_of(1, None, digests[::-1]),
        A_CHAIN.hash_of(1, None, digests[:2]),
        A_CHAIN.hash_of(1, digests[0], digests[1:]),
    ]
    assert len({known, *others}) == 8


def test_thousands_of_entries_become_blocks_that_follow_one_another() -> None:
    digests = [digest_of(str(number)) for number in range(2500)]

    first = blocks_of(PEPPER, A_CHAIN, None, digests[:1200])
    blocks = [*first, *blocks_of(PEPPER, A_CHAIN, first[-1], digests[1200:])]

    assert [(one.from_version, one.to_version) for one in blocks] == [
        (1, 1000),
        (1001, 1200),
        (1201, 2200),
        (2201, 2500),
    ]
    assert [one.previous_hash for one in blocks] == [None, *(one.hash for one in blocks[:-1])]
    assert {wrong_mac(PEPPER, block_text(one.hash), one.mac, one.key_id) for one in blocks} == {None}
    gone = Pepper({9: b"another secret of thirty-two bytes"}, 9)
    assert wrong_mac(gone, block_text(blocks[0].hash), blocks[0].mac, blocks[0].key_id) == "other_key"


async def all_sealed(worker_database: Database) -> None:
    """Seal until nothing waits."""
    sealer = LedgerSealer(worker_database)
    while await sealer.round():
        continue


async def chain_of(home: Home, account: str) -> tuple[list[Line], list[Block]]:
    """All entries of the account, and its blocks."""
    async with home.database.transaction(home.caller.reach) as tx:
        lines = await seal_store.behind(tx, [(account, 0)], 10_000)
        return lines, await seal_store.blocks_over(tx, account, (1, 10_000))


async def waits(home: Home) -> int:
    async with home.database.transaction(home.caller.reach) as tx:
        count: int = await tx.fetchval("select count(*) from ledger_unsealed where agency_id = $1", home.agency_id)
    return count


def follows(home: Home, account: str, lines: list[Line], blocks: list[Block]) -> bool:
    """Whether the blocks are those of the lines."""
    chain, previous, version = Chain(home.agency_id, account), None, 1
    for block in blocks:
        part = lines[version - 1 : block.to_version]
        made = chain.hash_of(version, previous, [digest_of(entry_text(home.agency_id, line)) for line in part])
        if (made, previous, version) != (block.hash, block.previous_hash, block.from_version):
            return False
        previous, version = block.hash, block.to_version + 1
    return version == len(lines) + 1


async def test_every_account_has_a_chain_over_all_that_was_entered(
    database: Database, worker_database: Database
) -> None:
    home = await a_home(database, workspaces=1, granted=100_000)
    for amount in (500, 700):
        await work(home, home.workspaces[0], used(amount))
        await all_sealed(worker_database)
    await work(home, home.workspaces[0], used(900))
    assert await waits(home) > 0
    await all_sealed(worker_database)

    assert await waits(home) == 0
    for account in ("issued", "pool", f"held:{home.workspaces[0]}", f"used:{home.workspaces[0]}"):
        lines, blocks = await chain_of(home, account)
        assert follows(home, account, lines, blocks), account
    assert [block.to_version for block in blocks] == [1, 2, 3]


def test_entries_are_written_by_the_one_statement_that_has_them_wait_for_their_seal() -> None:
    writers = [source.name for source in sources() if "insert into ledger_entry" in source.text]

    assert writers == ["credits/batch_store.py"]


async def test_many_that_write_and_many_that_seal_at_once_make_one_chain(
    database: Database, worker_database: Database
) -> None:
    home = await a_home(database, workspaces=2, granted=1_000_000)
    sealers = [LedgerSealer(worker_database) for _ in range(3)]

    async def works(workspace_id: str) -> None:
        for _ in range(12):
            await work(home, workspace_id, used(10))

    async with asyncio.TaskGroup() as group:
        writers = [group.create_task(works(home.workspaces[number % 2])) for number in range(4)]
        while not all(writer.done() for writer in writers):
            await asyncio.gather(*(sealer.round() for sealer in sealers))
    await all_sealed(worker_database)

    for account in ("pool", *(f"used:{one}" for one in home.workspaces)):
        lines, blocks = await chain_of(home, account)
        assert follows(home, account, lines, blocks), account
        assert len(lines) >= 24
    assert await waits(home) == 0


async def test_what_is_rolled_back_waits_for_no_seal(database: Database, worker_database: Database) -> None:
    home = await a_home(database, workspaces=1, granted=1000)
    await all_sealed(worker_database)

    with contextlib.suppress(Refused):
        async with database.transaction(home.caller.reach) as tx:
            await credits.grant(tx, home.caller, amount=MilliCredits(5))
            raise Refused("credits.exhausted", "on second thought")

    assert await waits(home) == 0


async def test_an_account_without_one_of_its_entries_keeps_no_other_waiting(
    database: Database, worker_database: Database, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    home = await a_home(database, workspaces=1, granted=10_000)
    await all_sealed(worker_database)
    used_by = f"used:{home.workspaces[0]}"
    for _ in range(3):
        await work(home, home.workspaces[0], used(10))
    async with owner.transaction():
        await owner.execute(f"set local app.agency_id = '{home.agency_id}'; set local app.workspace_ids = '*'")
        await owner.execute("delete from ledger_entry where account_id = $1 and account_version = 2", used_by)

    async with worker_database.transaction(home.caller.reach) as tx:
        sealed = await seal(tx)
    await all_sealed(worker_database)

    assert sealed.broken == (used_by,)
    assert follows(home, "pool", *await chain_of(home, "pool"))
    assert (await chain_of(home, used_by))[1] == []
    assert await waits(home) == 3


async def test_a_server_cannot_seal_and_nobody_changes_a_seal(database: Database, worker_database: Database) -> None:
    home = await a_home(database, workspaces=1, granted=1000)
    await all_sealed(worker_database)
    for door, sql in (
        (database, "insert into ledger_seal select * from ledger_seal where agency_id = $1"),
        (database, "delete from ledger_unsealed where agency_id = $1"),
        (worker_database, "update ledger_seal set at = now() where agency_id = $1"),
        (worker_database, "delete from ledger_seal where agency_id = $1"),
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with door.transaction(home.caller.reach) as tx:
                await tx.execute(sql, home.agency_id)
