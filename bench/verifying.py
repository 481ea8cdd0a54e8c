"""Verifying API keys over HTTP, rate limits on: ours beside Better Auth's, on one PostgreSQL server."""

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Final

import asyncpg

from bench.installation import Installation
from bench.load import Load, Sample, Tick, pin
from bench.peers.node import peer
from bench.reads import Plan, cores, leave_core
from bench.servers import SHIPPED, fetch, serving
from colonnade.ground.db.address import Address

OURS: Final = "Colonnade"
THEIRS: Final = "Better Auth"
GOAL: Final = 10.0
_WARM_UP_SECONDS: Final = 2.0
_NARROW: Final = 5
_PATH: Final = "/v1/whoami"


@dataclass(frozen=True, slots=True)
class Compared:
    """The samples of both, round by round."""

    ours: tuple[Sample, ...]
    theirs: tuple[Sample, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """How many keys we verify in the time in which they verify one, in each round."""
        return tuple(one.per_second / other.per_second for one, other in zip(self.ours, self.theirs, strict=True))

    @property
    def ratio(self) -> float:
        """The median round's."""
        return median(self.ratios)


@dataclass(frozen=True, slots=True)
class _Keys:
    """Where it answers, and the keys that open it: one whose limit is never reached, one whose limit is at once."""

    port: int
    header: str
    wide: str
    narrow: str


def measure(home: Installation, scratch: Path, plan: Plan, tick: Tick) -> Compared:
    """Both in turn, each one process alone on the same core, under the same load from another core."""
    paths = scratch / "whoami"
    paths.write_text(_PATH + "\n")
    leave_core(cores()[0])
    with _ours(home) as ours, _theirs(home) as theirs:
        for one in (ours, theirs):
            _prove_limit(one)
        loads = {
            OURS: (ours, Load(paths, ours.wide, cores()[1])),
            THEIRS: (theirs, Load(paths, theirs.wide, cores()[1], theirs.header)),
        }
        for one, load in loads.values():
            load.run(one.port, seconds=_WARM_UP_SECONDS, connections=plan.connections)
        rounds = [_round(loads, plan, number, tick) for number in range(plan.rounds)]
    return Compared(tuple(one[OURS] for one in rounds), tuple(one[THEIRS] for one in rounds))


def _round(loads: Mapping[str, tuple[_Keys, Load]], plan: Plan, number: int, tick: Tick) -> dict[str, Sample]:
    names = list(loads)
    taken = {}
    for name in names[number % 2 :] + names[: number % 2]:
        keys, load = loads[name]
        taken[name] = load.run(keys.port, seconds=plan.seconds, connections=plan.connections)
        tick(name)
    return taken


def _prove_limit(keys: _Keys) -> None:
    """The limit is on: so many calls with the narrow key are let in, and the next one is not."""
    text = keys.narrow if keys.header == "x-api-key" else f"Bearer {keys.narrow}"
    line = HTTPConnection("127.0.0.1", keys.port, timeout=60)
    seen = []
    for _ in range(_NARROW + 1):
        line.request("GET", _PATH, headers={keys.header: text})
        answer = line.getresponse()
        answer.read()
        seen.append(answer.status)
    line.close()
    if seen != [200] * _NARROW + [429]:
        raise RuntimeError(f"a limit of {_NARROW} calls was answered with {seen}")


@contextlib.contextmanager
def _ours(home: Installation) -> Iterator[_Keys]:
    with serving(SHIPPED, home.environment, cores()[0]) as server:
        fetch(server.port, _PATH, home.key)
        yield _Keys(server.port, "Authorization", home.key, _minted(server.port, home.key))


def _minted(port: int, key: str) -> str:
    wanted = {"name": "narrow", "preset": "read_only", "rateLimit": {"requests": _NARROW, "windowSeconds": 60}}
    line = HTTPConnection("127.0.0.1", port, timeout=60)
    line.request("POST", "/v1/api-keys", json.dumps(wanted), {"Authorization": f"Bearer {key}"})
    answer = json.load(line.getresponse())
    line.close()
    return str(answer["key"])


@contextlib.contextmanager
def _theirs(home: Installation) -> Iterator[_Keys]:
    node, folder = peer("better_auth")
    url = asyncio.run(_database(home.address, home.folder))
    process = subprocess.Popen(
        [node, "server.mjs"],
        cwd=folder,
        env={**os.environ, "PEER_DATABASE": url, "PEER_SECRET": secrets.token_hex(32), "NODE_ENV": "production"},
        preexec_fn=lambda: pin(cores()[0]),  # noqa: PLW1509 (no threads of ours are running yet)
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield _Keys(told["port"], "x-api-key", told["wide"], told["narrow"])
    finally:
        process.terminate()
        process.wait(30)


async def _database(address: Address, folder: Path) -> str:
    """A database of its own on the same server, and where it answers."""
    password = secrets.token_hex(16)
    operator = await asyncpg.connect(**address.arguments("postgres", database="postgres"))
    await operator.execute(f"create role peer login password '{password}'")
    await operator.execute("create database peer owner peer")
    await operator.close()
    return f"postgresql://peer:{password}@localhost/peer?host={folder / 'pg'}&port={address.port}"
