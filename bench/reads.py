"""One workspace read over HTTP: as shipped, with a transaction for each request, and by a bare application."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

import psutil

from bench.installation import Installation
from bench.load import Load, Sample, Tick
from bench.servers import BARE, PLAIN, SHIPPED, Served, fetch, serving

BASE: Final = "bare"
GOAL: Final = 0.5
_WARM_UP_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how hard it is measured."""

    rounds: int
    seconds: float
    connections: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One server's samples, one for each round, beside the ratio to the bare one in the same round."""

    samples: tuple[Sample, ...]
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """The median round's."""
        return median(self.ratios)

    @property
    def middle(self) -> Sample:
        """The medians of all rounds."""
        return Sample(
            median(sample.per_second for sample in self.samples),
            median(sample.p50_ms for sample in self.samples),
            median(sample.p99_ms for sample in self.samples),
            median(sample.cpu_ms for sample in self.samples),
        )


def measure(home: Installation, scratch: Path, plans: Sequence[Plan], tick: Tick) -> list[dict[str, Measured]]:
    """All three in turn, round by round, so that what else the machine does falls on each of them alike."""
    paths = scratch / "paths"
    paths.write_text("".join(f"/v1/workspaces/{one}\n" for one in home.workspace_ids))
    leave_core(cores()[0])
    with _three(home, scratch) as servers:
        load = Load(paths, home.key, cores()[1])
        for server in servers.values():
            load.run(server.port, seconds=_WARM_UP_SECONDS, connections=plans[0].connections)
        return [_measured(load, servers, plan, tick) for plan in plans]


def leave_core(core: int | None) -> None:
    """Keep the database, which the system would put beside whoever asks it, off the core of the measured server."""
    if core is None:
        return
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.cpu_affinity([one for one in process.cpu_affinity() if one != core])


def _measured(load: Load, servers: Mapping[str, Served], plan: Plan, tick: Tick) -> dict[str, Measured]:
    rounds = [_round(load, servers, plan, number, tick) for number in range(plan.rounds)]
    return {
        name: Measured(
            tuple(one[name] for one in rounds),
            tuple(one[name].per_second / one[BASE].per_second for one in rounds),
        )
        for name in servers
    }


def cores() -> tuple[int | None, int | None]:
    """The cores of server and load; none where there are no two to choose from, or no way to choose."""
    known = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return (known[0], known[1]) if len(known) > 1 else (None, None)


def _round(load: Load, servers: Mapping[str, Served], plan: Plan, number: int, tick: Tick) -> dict[str, Sample]:
    names = list(servers)
    turned = names[number % len(names) :] + names[: number % len(names)]
    taken = {}
    for name in turned:
        taken[name] = _sample(load, servers[name], plan)
        tick(name)
    return taken


def _sample(load: Load, server: Served, plan: Plan) -> Sample:
    before = server.cpu_seconds()
    sample = load.run(server.port, seconds=plan.seconds, connections=plan.connections)
    computed = server.cpu_seconds() - before
    return replace(sample, cpu_ms=computed * 1000 / (sample.per_second * plan.seconds))


@contextlib.contextmanager
def _three(home: Installation, scratch: Path) -> Iterator[dict[str, Served]]:
    body = scratch / "body"
    with contextlib.ExitStack() as stack:
        core = cores()[0]
        shipped = stack.enter_context(serving(SHIPPED, home.environment, core))
        plain = stack.enter_context(serving(PLAIN, home.environment, core))
        path = f"/v1/workspaces/{home.workspace_ids[0]}"
        wanted = fetch(shipped.port, path, home.key)
        body.write_bytes(wanted)
        bare = stack.enter_context(serving(BARE, {"BENCH_BODY": str(body)}, core))
        for server in (plain, bare):
            if fetch(server.port, path, home.key) != wanted:
                raise RuntimeError("the servers do not answer with the same bytes")
        yield {BASE: bare, "shipped": shipped, "plain": plain}
