"""What was measured, as a table for people and as bench/results.md."""

import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Final

import psutil

from bench.engine_steps import SLOTS, Steps
from bench.installation import WORKSPACES
from bench.load import tool_name
from bench.reads import BASE, GOAL, Measured, Plan, cores

NAMES: Final[Mapping[str, str]] = {
    BASE: "bare application, same bytes",
    "shipped": "as shipped",
    "plain": "a transaction for each request",
}
_PACKAGES: Final = ("fastapi", "starlette", "uvicorn", "uvloop", "pydantic", "asyncpg")
HEAD: Final = ("Server", "Ratio", "Rounds", "Answers/s", "p50 ms", "p99 ms", "CPU ms each")


@dataclass(frozen=True, slots=True)
class Results:
    """Everything of one measurement."""

    command: str
    plan: Plan
    reads: Mapping[str, Measured]
    alone: Mapping[str, Measured]
    """The same with a single connection."""
    steps: Steps
    runs: int
    postgresql: str


def rows(measured: Mapping[str, Measured]) -> Iterator[tuple[str, ...]]:
    """The table's rows, one for each server."""
    for name, one in measured.items():
        middle = one.middle
        yield (
            NAMES[name],
            f"{one.ratio:.2f}",
            f"{min(one.ratios):.2f} to {max(one.ratios):.2f}",
            f"{middle.per_second:,.0f}",
            f"{middle.p50_ms:.1f}",
            f"{middle.p99_ms:.1f}",
            f"{middle.cpu_ms:.2f}",
        )


def verdict(results: Results) -> str:
    """The one figure that has a goal."""
    ratio = results.reads["shipped"].ratio
    return f"Ratio as shipped: {ratio:.2f}; the goal is at least {GOAL} ({'met' if ratio >= GOAL else 'missed'})."


def steps_sentence(results: Results) -> str:
    """What the engine costs beside the bare writes."""
    steps = results.steps
    return (
        f"Engine: ratio {steps.ratio:.2f} ({median(steps.engine):,.0f} runs/s of three journaled steps, against "
        f"{median(steps.by_hand):,.0f} runs/s for the same five writes by hand); {steps.cpu_ms:.2f} ms of the "
        "worker's CPU for each run."
    )


def markdown(results: Results) -> str:
    """The whole of bench/results.md."""
    plan = results.plan
    return "\n".join(
        [
            "# Measurements",
            "",
            "Figures hold for one machine; the ratios are what to look at. Written by `make bench`.",
            "",
            f"**{verdict(results)}**",
            "",
            *(f"- {line}" for line in _circumstances(results)),
            "",
            "## Reading one workspace",
            "",
            "An authenticated `GET /v1/workspaces/{id}` as shipped (row security, rate limit, request log, last use of",
            "keys and metrics are on), against the same framework and server settings that return the same bytes with",
            f"nothing else. Medians of {plan.rounds} rounds of {plan.seconds:g} s in turn; each ratio is of one round.",
            "",
            f"{WORKSPACES} workspaces are asked for in turn. Each answer is made of the row as the database has it;",
            "a row that says the same as before is not taken apart again. The third server does without shared trips",
            "and without that.",
            "",
            f"{plan.connections} connections at once:",
            "",
            *_table(results.reads),
            "",
            "One connection, where nobody shares a trip with anybody:",
            "",
            *_table(results.alone),
            "",
            "## Durable runs",
            "",
            f"{results.runs:,} runs of three journaled steps on an empty body, {SLOTS} at once, against the same rows",
            "written by hand: one for the run, one for each step, and the run's end, each committed before the next.",
            "",
            steps_sentence(results),
            "",
        ]
    )


def _table(measured: Mapping[str, Measured]) -> Iterator[str]:
    yield "| " + " | ".join(HEAD) + " |"
    yield "|---|" + "---:|" * (len(HEAD) - 1)
    for row in rows(measured):
        yield "| " + " | ".join(row) + " |"


def _circumstances(results: Results) -> Iterator[str]:
    server, load = cores()
    apart = f"server alone on core {server}, load on core {load}, PostgreSQL on all but the server's"
    pinned = apart if server is not None else "not pinned"
    yield f"Command: `{results.command}`"
    yield f"Date: {datetime.now(UTC):%Y-%m-%d}"
    memory = psutil.virtual_memory().total / 2**30
    yield f"Machine: {_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {_system()}"
    yield f"Load: {tool_name()}; {pinned}; load average at the end {os.getloadavg()[0]:.1f}"
    yield f"PostgreSQL {results.postgresql}, embedded, as shipped (fsync on); one server process"
    yield f"Python {platform.python_version()}, " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES)


def _system() -> str:
    return f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 (a file of the kernel)
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
