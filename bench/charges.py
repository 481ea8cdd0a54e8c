"""Charges settled together, beside the ways of charging one by one: all on one hot pool, all writing the same rows."""

import asyncio
import multiprocessing
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

import asyncpg

from bench.installation import Installation
from bench.load import Tick
from colonnade import credits
from colonnade.cli.runtime import opened
from colonnade.credits.charge_model import ChargeWish, Priced
from colonnade.credits.orders import Order
from colonnade.credits.settling import settle
from colonnade.ground.core.amounts import MilliCredits
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.ids import new_id, new_request_id
from colonnade.ground.db.database import Database
from colonnade.settings import Settings
from colonnade.tenancy import agencies

CALLERS: Final = (1, 16, 256)
GOAL_EACH: Final = 20.0
GOAL_CALL: Final = 12.0
GOAL_ALONE: Final = 1.3
GOAL_TAIL: Final = 5.0

TOGETHER: Final = "settled together"
EACH: Final = "a transaction for each"
CALL: Final = "one call of the database for each"
FLOOR: Final = "pgbench: debit and ledger row alone"
WAYS: Final = (TOGETHER, EACH, CALL)

_CONNECTIONS: Final = 16
_SLOW: Final = {"commit_delay": "3700", "commit_siblings": "0"}
"""A disk that takes some milliseconds for a commit."""

_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Pace:
    """How many charges a second, and how long one took."""

    per_second: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Setting:
    """Under which circumstances was charged."""

    callers: int
    processes: int = 1
    slow: bool = False


@dataclass(frozen=True, slots=True)
class ChargeCosts:
    """Every way under every setting, each round side by side with the others; and the floor on both disks."""

    paces: dict[tuple[Setting, str], list[Pace]]
    floor: dict[bool, float]

    def ratio(self, setting: Setting, way: str) -> float:
        """How many times as fast as this way charges are that are settled together: the median of the rounds."""
        together, other = self.paces[setting, TOGETHER], self.paces[setting, way]
        return median(one.per_second / two.per_second for one, two in zip(together, other, strict=True))


SETTINGS: Final = (
    *(Setting(callers) for callers in CALLERS),
    Setting(256, processes=2),
    Setting(16, slow=True),
    Setting(256, slow=True),
)


def measure(home: Installation, rounds: int, seconds: float, tick: Tick) -> ChargeCosts:
    """All of it; needs the embedded cluster's own superuser for the slow disk and the function."""
    asyncio.run(_prepare(home))
    paces: dict[tuple[Setting, str], list[Pace]] = {}
    floor: dict[bool, float] = {}
    for slow in (False, True):
        asyncio.run(_set_disk(home, slow=slow))
        floor[slow] = _floor(home, seconds)
        for setting in [one for one in SETTINGS if one.slow is slow for _ in range(rounds)]:
            for way in WAYS:
                paces.setdefault((setting, way), []).append(_pace(home, setting, way, seconds))
            tick(f"{setting.callers} callers")
    asyncio.run(_set_disk(home, slow=False))
    return ChargeCosts(paces, floor)


def _pace(home: Installation, setting: Setting, way: str, seconds: float) -> Pace:
    share = setting.callers // setting.processes
    if setting.processes == 1:
        found = [asyncio.run(_charge(home.folder, home.agency_id, home.workspace_ids[0], way, share, seconds))]
    else:
        work = [(home.folder, home.agency_id, home.workspace_ids[0], way, share, seconds)] * setting.processes
        with multiprocessing.get_context("spawn").Pool(setting.processes) as pool:
            found = pool.starmap(_in_process, work)
    took = sorted(one for part, _ in found for one in part)
    return Pace(
        sum(len(part) / lasted for part, lasted in found),
        took[len(took) // 2] * 1000,
        took[len(took) * 99 // 100] * 1000,
    )


def _in_process(*work: object) -> tuple[list[float], float]:
    return asyncio.run(_charge(*work))  # type: ignore[arg-type]


Charging = Callable[[Order], Awaitable[object]]


async def _charge(
    folder: Path, agency_id: str, workspace_id: str, way: str, callers: int, seconds: float
) -> tuple[list[float], float]:
    """Let so many callers charge one after the other, for so long; how long each charge took, and all of them."""
    operator = agencies.entering(agency_id)
    settings = Settings(data_dir=folder, database_connections=_CONNECTIONS)
    async with opened(settings) as database:
        till = credits.open_till(database)
        ways: dict[str, Charging] = {TOGETHER: till.ask, EACH: _alone(database), CALL: _called(database)}
        charge, took = ways[way], list[float]()
        for warm in (0.3, seconds):
            took = []
            begin = time.perf_counter()
            end = begin + warm
            await asyncio.gather(*(_caller(charge, operator, workspace_id, end, took) for _ in range(callers)))
            lasted = time.perf_counter() - begin
        await till.close()
    return took, lasted


async def _caller(charge: Charging, operator: Caller, workspace_id: str, end: float, took: list[float]) -> None:
    while (begin := time.perf_counter()) < end:
        caller = replace(operator, request_id=new_request_id())
        wish = ChargeWish(workspace_id, Priced("image", MilliCredits(1000)), new_id("evt"))
        await charge(Order(caller, wish, workspace_id, wish.source, wish.reference))
        took.append(time.perf_counter() - begin)


def _alone(database: Database) -> Charging:
    turn = asyncio.Semaphore(_CONNECTIONS)  # who waits longer than a request may is not to be turned away here

    async def charge(order: Order) -> None:
        async with turn, database.transaction(order.caller.reach) as tx:
            (outcome,) = await settle(tx, [order])
            if isinstance(outcome, Exception):
                raise outcome

    return charge


CALLED: Final = "select bench_charge($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"


def _called(database: Database) -> Charging:
    async def charge(order: Order) -> None:
        names = (new_id("chg"), new_id("led"), new_id("led"), new_id("evt"), new_id("aud"), new_id("evt"))
        mac = database.pepper.digest("|".join(names) * 2)
        caller, wish = order.caller, order.ask
        assert isinstance(wish, ChargeWish), "the bench charges"
        asked = (order.agency_id, wish.workspace_id, wish.reference, 1000, caller.actor_id, caller.request_id)
        await database.pool.fetchval(CALLED, *asked, *names, mac)

    return charge


async def _prepare(home: Installation) -> None:
    operator = agencies.entering(home.agency_id)
    async with opened(Settings(data_dir=home.folder)) as database, database.transaction(operator.reach) as tx:
        await credits.grant(tx, operator, amount=MilliCredits(10**14))
    owner = await asyncpg.connect(**home.address.arguments("colonnade_owner"))
    await owner.execute((_HERE / "charges.sql").read_text("utf-8"))
    await owner.close()
    await _charge(home.folder, home.agency_id, home.workspace_ids[0], TOGETHER, 1, 0.1)


async def _set_disk(home: Installation, *, slow: bool) -> None:
    root = await asyncpg.connect(**home.address.arguments("postgres", database="postgres"))
    for name, value in _SLOW.items():
        await root.execute(f"alter system set {name} = {value}" if slow else f"alter system reset {name}")
    await root.execute("select pg_reload_conf()")
    await root.close()


def _floor(home: Installation, seconds: float) -> float:
    """What pgbench makes of a debit and a ledger row in one transaction."""
    program = shutil.which("pgbench")
    if program is None:
        return 0.0
    where = home.address.arguments("colonnade_owner")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(
            "begin;\nupdate bench_pool set balance = balance - 1;\ninsert into bench_ledger values (1);\ncommit;\n"
        )
        script.flush()
        command = [program, "-n", "-c16", "-j2", f"-T{max(int(seconds), 2)}", "-f", script.name, "-Mprepared"]
        place = ["-h", str(where["host"]), "-p", str(where["port"]), "-U", str(where["user"]), str(where["database"])]
        # The embedded server's socket is reached through an open folder, which the program must have, too.
        handed_on = [int(str(where["host"]).rpartition("/")[2])] if str(where["host"]).startswith("/proc/") else []
        told = subprocess.run(
            [*command, *place],
            capture_output=True,
            text=True,
            check=True,
            env={"PGPASSWORD": str(where["password"])},
            pass_fds=handed_on,
        )
    found = re.search(r"tps = ([\d.]+)", told.stdout)
    return float(found[1]) if found else 0.0
