"""A cap holds to the last milli-credit: from many callers in several processes, and when some of it is killed."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import psutil

from colonnade import credits
from colonnade.credits import charging
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.db import embedded
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.ground.db.migrating import migrate
from colonnade.schema import STEPS
from tests.conftest import _FOLDER, PEPPER
from tests.credits.homes import Home, a_home

PROCESSES = 4
CALLERS = 64
"""Of each process."""

ROOT = Path(__file__).parents[2]


async def _capped(database: Database, cap: int) -> Home:
    home = await a_home(database, granted=10**9)
    async with database.transaction(home.caller.reach) as tx:
        await credits.set_cap(tx, home.caller, MilliCredits(cap * 1000), workspace_id=home.workspaces[0])
    return home


class Crowd:
    """Processes that charge one workspace, and what their callers were told."""

    def __init__(self, folder: Path, database: Database, home: Home) -> None:
        self._wish = {
            "cluster": str(folder),
            "database": database.address.database,
            "agency": home.agency_id,
            "workspace": home.workspaces[0],
            "callers": CALLERS,
        }
        self.running: list[asyncio.subprocess.Process] = []
        self._reading: list[asyncio.Task[None]] = []
        self.told: dict[str, tuple[int, str]] = {}

    async def begin(self, *, tries: int, most: int) -> None:
        """Let them begin, each with its share of the tries, of amounts up to `most` credits."""
        for number in range(PROCESSES):
            wish = {**self._wish, "name": f"p{number}", "tries": tries // PROCESSES, "most": most}
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.ops.charging_process", json.dumps(wish)),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            self.running.append(process)
            self._reading.append(asyncio.create_task(self._read(process)))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            words = line.decode().split()
            if words[0] == "outcome":  # and no line of the log
                self.told[words[1]] = int(words[2]), words[3]

    async def told_of(self, many: int) -> None:
        """Wait until so many callers have been told what came of it."""
        while len(self.told) < many and any(one.returncode is None for one in self.running):
            await asyncio.sleep(0.02)

    async def end(self) -> None:
        """Wait until all have ended."""
        await asyncio.gather(*self._reading)
        await asyncio.gather(*(one.wait() for one in self.running))

    def charged(self) -> dict[str, int]:
        """What callers know to be charged: amounts by reference."""
        return {name: amount for name, (amount, outcome) in self.told.items() if outcome.startswith("chg_")}

    def refused(self) -> dict[str, int]:
        """What callers know not to be charged, because a cap stood in the way."""
        return {name: amount for name, (amount, outcome) in self.told.items() if outcome == "credits.cap_exceeded"}


async def _in_the_ledger(database: Database, home: Home) -> dict[str, list[int]]:
    """Every charge that is kept: amounts by reference, as often as it is there."""
    async with database.transaction(home.caller.reach) as tx:
        rows = await tx.fetch(
            """select t.reference, e.amount from credit_transfer t
               join ledger_entry e on e.agency_id = $1 and e.transfer_id = t.id and e.amount > 0
               where t.agency_id = $1 and t.kind = 'charge'""",
            home.agency_id,
        )
        for row in rows[:50]:
            found = await charging.find_charge(tx, home.caller, source="api", reference=row["reference"])
            assert found is not None
            assert found.credits == row["amount"]
    kept: dict[str, list[int]] = {}
    for row in rows:
        kept.setdefault(row["reference"], []).append(row["amount"])
    return kept


async def _check(database: Database, home: Home, crowd: Crowd, cap: int) -> int:
    """All that must hold whatever happened; what is left under the cap."""
    kept = await _in_the_ledger(database, home)
    assert all(len(amounts) == 1 for amounts in kept.values()), "charged twice"
    for reference, amount in crowd.charged().items():
        assert kept.get(reference) == [amount], "acknowledged, and not in the ledger"
    assert not set(crowd.refused()) & set(kept), "refused, and in the ledger"
    used = sum(amounts[0] for amounts in kept.values())
    assert used <= cap * 1000
    async with database.transaction(home.caller.reach) as tx:
        told = await tx.fetchrow(
            """select (select used from credit_tally where agency_id = $1 and subject = $2) as tally,
                      (select balance from credit_account where agency_id = $1 and id = 'used:' || $2) as account,
                      (select sum(credits) from usage_daily where agency_id = $1 and workspace_id = $2) as usage""",
            home.agency_id,
            home.workspaces[0],
        )
    assert told is not None
    assert {int(told["tally"]), int(told["account"]), int(told["usage"])} == {used}
    return cap * 1000 - used


async def test_ten_thousand_tries_of_many_callers_in_four_processes_admit_exactly_the_cap(database: Database) -> None:
    home = await _capped(database, 100)
    crowd = Crowd(Path(os.environ[_FOLDER]), database, home)

    await crowd.begin(tries=10_000, most=1)
    await crowd.end()

    assert len(crowd.told) == 10_000
    assert len(crowd.charged()) == 100
    assert len(crowd.refused()) == 9_900
    assert await _check(database, home, crowd, 100) == 0


async def test_of_random_amounts_nothing_was_refused_that_is_at_most_what_is_left(database: Database) -> None:
    home = await _capped(database, 500)
    crowd = Crowd(Path(os.environ[_FOLDER]), database, home)

    await crowd.begin(tries=2_000, most=20)
    await crowd.end()

    left = await _check(database, home, crowd, 500)
    assert len(crowd.charged()) + len(crowd.refused()) == 2_000
    assert min(crowd.refused().values()) > left


async def test_a_process_that_is_killed_leaves_nothing_in_doubt(database: Database) -> None:
    home = await _capped(database, 100_000)
    crowd = Crowd(Path(os.environ[_FOLDER]), database, home)

    await crowd.begin(tries=8_000, most=5)
    await crowd.told_of(1_000)
    crowd.running[0].send_signal(signal.SIGKILL)
    await crowd.end()

    assert crowd.running[0].returncode == -signal.SIGKILL
    assert [one.returncode for one in crowd.running[1:]] == [0, 0, 0]
    await _check(database, home, crowd, 100_000)
    assert len([name for name in crowd.charged() if not name.startswith("p0-")]) == 6_000


@contextlib.asynccontextmanager
async def _durable(folder: Path) -> AsyncIterator[tuple[embedded.Cluster, Address]]:
    """A server of one's own, with fsync, to be killed."""
    cluster = embedded.start(folder, settings={"max_connections": "60"})
    owner = await asyncpg.connect(**cluster.address.arguments("colonnade_owner"))
    await migrate(owner, STEPS)
    await owner.close()
    try:
        yield cluster, cluster.address
    finally:
        with contextlib.suppress(Exception):
            cluster.stop()


async def test_a_database_that_is_killed_keeps_what_was_acknowledged_and_tells_the_rest_by_reference(
    tmp_path: Path,
) -> None:
    async with _durable(tmp_path / "data") as (cluster, address):
        database = Database(address, "colonnade_app", PEPPER, most_connections=4)
        await database.open()
        home = await _capped(database, 100_000)
        crowd = Crowd(tmp_path / "data", database, home)
        await crowd.begin(tries=4_000, most=5)
        await crowd.told_of(1_000)
        _kill_a_backend(cluster.pid)
        await crowd.end()
        await asyncio.sleep(0.5)

        assert [one.returncode for one in crowd.running] == [0] * PROCESSES
        await _check(database, home, crowd, 100_000)
        unknown = [name for name, (_, outcome) in crowd.told.items() if outcome == "credits.outcome_unknown"]
        assert len(crowd.charged()) + len(unknown) == 4_000
        await database.close()


def _kill_a_backend(postmaster: int) -> None:
    """A backend that dies takes the whole server through recovery, as after a crash."""
    backends = [one for one in psutil.Process(postmaster).children() if "colonnade_app" in " ".join(one.cmdline())]
    assert backends, "nobody is connected"
    os.kill(backends[0].pid, signal.SIGKILL)
