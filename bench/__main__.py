"""`python -m bench`: measures everything, prints the ratios, writes bench/results.md."""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import asyncpg
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import engine_steps, reads
from bench.installation import Installation, installed
from bench.load import HOW_TO_INSTALL, Tick
from bench.reads import Measured, Plan
from bench.report import HEAD, NAMES, Results, markdown, rows, steps_sentence, verdict

RESULTS: Final = Path(__file__).with_name("results.md")
_ROUNDS_ALONE: Final = 3
_ROUNDS_OF_STEPS: Final = 3

out: Final = Console(width=120)
err: Final = Console(stderr=True)


def main() -> None:
    """Measure, print, write."""
    given = _words().parse_args()
    _tell_of_the_machine()
    plan = Plan(given.rounds, given.seconds, given.connections)
    with tempfile.TemporaryDirectory(prefix="colonnade-bench-") as scratch:
        results = _measure(Path(scratch), plan, given.runs)
    _print("Reading one workspace, " + str(plan.connections) + " connections", results.reads)
    _print("The same with one connection", results.alone)
    out.print(steps_sentence(results))
    out.print(f"[bold]{verdict(results)}[/]")
    given.out.write_text(markdown(results))
    out.print(f"Written to {given.out}")


def _words() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    words.add_argument("--rounds", type=int, default=7, help="how often each server is measured")
    words.add_argument("--seconds", type=float, default=4.0, help="how long each time")
    words.add_argument("--connections", type=int, default=32, help="how many ask at once")
    words.add_argument("--runs", type=int, default=1000, help="how many durable runs")
    words.add_argument("--out", type=Path, default=RESULTS, help="where the results are written")
    return words


def _tell_of_the_machine() -> None:
    if shutil.which("wrk") is None:
        err.print(f"`wrk` is not installed, a slower client of our own asks instead; install it with: {HOW_TO_INSTALL}")
    if os.getloadavg()[0] > 1:
        err.print(f"The machine is busy (load average {os.getloadavg()[0]:.1f}); expect ratios that waver.")


def _measure(scratch: Path, plan: Plan, runs: int) -> Results:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    alone = Plan(_ROUNDS_ALONE, plan.seconds, 1)
    with Progress(*columns, console=err) as progress, installed(scratch / "data") as home:
        read = reads.measure(home, scratch, [plan, alone], _ticking(progress, 3 * (plan.rounds + alone.rounds)))
        tick = _ticking(progress, 2 * _ROUNDS_OF_STEPS)
        steps = asyncio.run(engine_steps.measure(home.address, _ROUNDS_OF_STEPS, runs, tick))
        postgresql = asyncio.run(_version(home))
    command = " ".join(["python -m bench", *sys.argv[1:]])
    return Results(command, plan, read[0], read[1], steps, runs, postgresql)


def _ticking(progress: Progress, total: int) -> Tick:
    task = progress.add_task("beginning", total=total)

    def tick(name: str) -> None:
        progress.update(task, advance=1, description=NAMES.get(name, name))

    return tick


async def _version(home: Installation) -> str:
    connection = await asyncpg.connect(**home.address.arguments("colonnade_app"))
    found = str(await connection.fetchval("select current_setting('server_version')"))
    await connection.close()
    return found


def _print(title: str, measured: Mapping[str, Measured]) -> None:
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in HEAD:
        table.add_column(name, justify="left" if name == HEAD[0] else "right")
    for row in rows(measured):
        table.add_row(*row)
    out.print(table)


if __name__ == "__main__":
    main()
