"""`python -m bench`: measures all or some parts, prints what came of it, writes bench/results.md."""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import charges, engine_steps, keys, reads, report, scale, usage_events, usage_reports, verifying
from bench.installation import Installation, installed
from bench.load import HOW_TO_INSTALL, Tick
from bench.peers.node import CannotHave
from bench.reads import Plan
from bench.sections import TITLES, circumstances, save

RESULTS: Final = Path(__file__).with_name("results.md")
_ROUNDS_ALONE: Final = 3
_ROUNDS_OF_STEPS: Final = 3
_ROUNDS_OF_CHARGES: Final = 3

out: Final = Console(width=120)
err: Final = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which parts, and how thoroughly."""

    parts: tuple[str, ...]
    plan: Plan
    runs: int


def main() -> None:
    """Measure, print, write."""
    given = _words().parse_args()
    _tell_of_the_machine()
    parts = given.only or [part for part in TITLES if part != "peers" or given.peers]
    if "peers" not in parts:
        err.print("The peer is left out; [bold]make bench PEERS=1[/] installs it and measures beside it.")
    wanted = Wanted(tuple(parts), Plan(given.rounds, given.seconds, given.connections), given.runs)
    command = " ".join(["python -m bench", *sys.argv[1:]])
    for part, text, postgresql in _measured(wanted):
        body = f"{text.strip()}\n\n{circumstances(command, postgresql, pinned=part in {'reads', 'peers'})}\n"
        out.print(Markdown(f"## {TITLES[part]}\n\n{body}"))
        save(given.out, {part: body})
    out.print(f"Written to {given.out}")


def _words() -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    words.add_argument("--only", nargs="+", choices=list(TITLES), help="these parts alone")
    words.add_argument("--peers", action="store_true", help="also beside what others have made, which is installed")
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


def _measured(wanted: Wanted) -> Iterator[tuple[str, str, str]]:
    """Each part's name, its text and the version of PostgreSQL, in installations that nothing else has used."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    for part in wanted.parts:
        with (
            tempfile.TemporaryDirectory(prefix="colonnade-bench-") as folder,
            Progress(*columns, console=err) as progress,
        ):
            found = (
                _grown(Path(folder), wanted, progress)
                if part == "scale"
                else _part(part, Path(folder), wanted, progress)
            )
        if found is not None:
            yield part, *found


def _grown(scratch: Path, wanted: Wanted, progress: Progress) -> tuple[str, str]:
    total = 2 * 2 + scale.LARGE.agencies + len(scale.GOALS)
    costs, version = scale.measure(scratch, wanted.plan.rounds, _ticking(progress, total))
    return report.scale(costs), version


def _part(part: str, scratch: Path, wanted: Wanted, progress: Progress) -> tuple[str, str] | None:
    with installed(scratch / "data") as home:
        version = asyncio.run(_version(home))
        try:
            return _told(part, home, scratch, wanted, progress), version
        except CannotHave as cannot:
            err.print(f"[bold red]Not measured:[/] {cannot}")
            return None


def _told(part: str, home: Installation, scratch: Path, wanted: Wanted, progress: Progress) -> str:
    plan = wanted.plan
    if part == "reads":
        alone = Plan(_ROUNDS_ALONE, plan.seconds, 1)
        tick = _ticking(progress, 3 * (plan.rounds + alone.rounds))
        together, one_by_one = reads.measure(home, scratch, [plan, alone], tick)
        return report.reads(plan, together, one_by_one)
    if part == "steps":
        tick = _ticking(progress, 2 * _ROUNDS_OF_STEPS)
        found = asyncio.run(engine_steps.measure(home.address, _ROUNDS_OF_STEPS, wanted.runs, tick))
        return report.steps(found, wanted.runs)
    if part == "charges":
        return _told_of_charges(home, plan, progress)
    if part == "keys":
        return report.keys(keys.measure(home, _ticking(progress, 4)))
    if part in {"events", "reports"}:
        return _told_of_usage(part, home, plan.rounds, progress)
    return report.peers(plan, verifying.measure(home, scratch, plan, _ticking(progress, 2 * plan.rounds)))


def _told_of_usage(part: str, home: Installation, rounds: int, progress: Progress) -> str:
    if part == "events":
        return report.events(usage_events.measure(home, rounds, _ticking(progress, 2 * rounds)))
    tick = _ticking(progress, usage_reports.Amount().agencies + 1)
    return report.reports(usage_reports.measure(home, rounds, tick))


def _told_of_charges(home: Installation, plan: Plan, progress: Progress) -> str:
    rounds = min(plan.rounds, _ROUNDS_OF_CHARGES)
    tick = _ticking(progress, rounds * len(charges.SETTINGS))
    return report.charges(charges.measure(home, rounds, plan.seconds, tick))


def _ticking(progress: Progress, total: int) -> Tick:
    task = progress.add_task("beginning", total=total)

    def tick(name: str) -> None:
        progress.update(task, advance=1, description=report.NAMES.get(name, name))

    return tick


async def _version(home: Installation) -> str:
    connection = await asyncpg.connect(**home.address.arguments("colonnade_app"))
    found = str(await connection.fetchval("select current_setting('server_version')"))
    await connection.close()
    return found


if __name__ == "__main__":
    main()
