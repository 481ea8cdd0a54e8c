"""What was measured, in sentences and tables: one function for each part."""

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Final

from bench.charges import CALL, EACH, GOAL_ALONE, GOAL_CALL, GOAL_EACH, GOAL_TAIL, TOGETHER, ChargeCosts, Setting
from bench.engine_steps import SLOTS, Steps
from bench.installation import WORKSPACES
from bench.keys import KeyCosts
from bench.reads import BASE, GOAL, Measured, Plan
from bench.scale import GOALS, LARGE, SMALL, Cost
from bench.sections import table
from bench.usage_events import COST_GOAL, ROUTE_GOAL, EventCosts
from bench.usage_reports import API_MS, DATABASE_MS, RATIO, Amount, ReportCosts
from bench.verifying import GOAL as TIMES
from bench.verifying import OURS, THEIRS, Compared

NAMES: Final[Mapping[str, str]] = {
    BASE: "bare application, same bytes",
    "shipped": "as shipped",
    "plain": "a transaction for each request",
}
_HEAD: Final = ("Server", "Ratio", "Rounds", "Answers/s", "p50 ms", "p99 ms", "CPU ms each")


def reads(plan: Plan, together: Mapping[str, Measured], alone: Mapping[str, Measured]) -> str:
    """One workspace read over HTTP."""
    ratio = together["shipped"].ratio
    return f"""**Ratio as shipped: {ratio:.2f}; the goal is at least {GOAL} ({_met(ratio >= GOAL)}).**

An authenticated `GET /v1/workspaces/{{id}}` as shipped (row security, rate limit, request log, last use of keys and
metrics are on), against the same framework and server settings that return the same bytes with nothing else. Medians of
{plan.rounds} rounds of {plan.seconds:g} s in turn; each ratio is of one round.

{WORKSPACES} workspaces are asked for in turn. Each answer is made of the row as the database has it; a row that says
the same as before is not taken apart again. The third server does without shared trips and without that.

{plan.connections} connections at once:

{table(_HEAD, _read_rows(together))}

One connection, where nobody shares a trip with anybody:

{table(_HEAD, _read_rows(alone))}
"""


def _read_rows(measured: Mapping[str, Measured]) -> Iterator[tuple[str, ...]]:
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


def steps(found: Steps, runs: int) -> str:
    """Durable runs beside the bare writes."""
    return f"""{runs:,} runs of three journaled steps on an empty body, {SLOTS} at once, against the same rows written
by hand: one for the run, one for each step, and the run's end, each committed before the next.

Engine: ratio {found.ratio:.2f} ({median(found.engine):,.0f} runs/s of three journaled steps, against
{median(found.by_hand):,.0f} runs/s for the same five writes by hand); {found.cpu_ms:.2f} ms of the worker's CPU for
each run.
"""


def scale(costs: Mapping[str, Cost]) -> str:
    """What operations cost in a large installation beside a small one."""
    late = [name for name, cost in costs.items() if cost.ratio > GOALS[name]]
    verdict = f"missed by {', '.join(late)}" if late else "met by every operation"
    head = ("Operation", "Ratio", "Goal", "Rounds", "ms there", "ms here", "PostgreSQL there", "here")
    return f"""**Goals {verdict}.**

Here: an agency of {LARGE.workspaces:,} workspaces beside {LARGE.agencies:,} other agencies. There: an agency of
{SMALL.workspaces} workspaces that is alone. Both run side by side, each with a server and a PostgreSQL of its own, and
are asked in turn, request by request over one connection. Medians of rounds; each ratio is of one round. The last two
columns are what PostgreSQL computed for a request, in milliseconds.

{table(head, _scale_rows(costs))}
"""


def _scale_rows(costs: Mapping[str, Cost]) -> Iterator[tuple[str, ...]]:
    for name, cost in costs.items():
        ratios = [large / small for small, large in zip(cost.small, cost.large, strict=True)]
        yield (
            name,
            f"{cost.ratio:.2f}",
            f"{GOALS[name]}",
            f"{min(ratios):.2f} to {max(ratios):.2f}",
            f"{median(cost.small):.2f}",
            f"{median(cost.large):.2f}",
            *(f"{one:.2f}" for one in cost.database_ms),
        )


def keys(costs: KeyCosts) -> str:
    """Verification, limits and revocations."""
    rows = ((str(one.callers), f"{one.per_second:,.0f}", f"{one.calls_each_trip:.1f}") for one in costs.taking)
    return f"""A key that the process knows is verified in {costs.warm_ms * 1000:.0f} µs without asking the
database, one that it does not know in {costs.cold_ms:.2f} ms with one trip.

Calls that one rate limit counts, so many callers at once in one process:

{table(("Callers", "Calls/s", "Calls each trip"), rows)}

A key is revoked through one process while another asks with it without a pause. So long after the answer to the
revocation it was let in for the last time ({len(costs.limited_ms)} keys each): with a rate limit
{_delays(costs.limited_ms)}, without one {_delays(costs.unlimited_ms)}.
"""


def charges(costs: ChargeCosts) -> str:
    """Charges settled together beside charges one by one."""
    hot = Setting(256)
    pace = costs.paces[hot, TOGETHER]
    each, call = costs.ratio(hot, EACH), costs.ratio(hot, CALL)
    tail = median(one.p99_ms / one.p50_ms for one in pace)
    alone = 1 / costs.ratio(Setting(1), EACH)
    head = ("Callers", "Processes", "Disk", "Way", "Charges/s", "p50 ms", "p99 ms", "Ratio")
    return f"""256 callers at once: {each:.1f} times a transaction for each (goal {GOAL_EACH:g},
{_met(each >= GOAL_EACH)}), {call:.1f} times one call of the database for each (goal {GOAL_CALL:g},
{_met(call >= GOAL_CALL)}); p99 is {tail:.1f} times p50 (goal below {GOAL_TAIL:g}, {_met(tail < GOAL_TAIL)}). One caller
takes {alone:.2f} times as long as with a transaction of its own (goal {GOAL_ALONE:g}, {_met(alone <= GOAL_ALONE)}).

Each way writes the same rows: transfer, two ledger entries, balances, tallies, usage and its roll-up, audit record and
announcement, under a reference. A bare debit with a ledger row makes {costs.floor[False]:,.0f} a second with pgbench,
{costs.floor[True]:,.0f} on a slow disk (`commit_delay`).

{table(head, _charge_rows(costs))}
"""


def _charge_rows(costs: ChargeCosts) -> Iterator[tuple[str, ...]]:
    for (setting, way), paces in costs.paces.items():
        yield (
            f"{setting.callers}",
            f"{setting.processes}",
            "slow" if setting.slow else "as it is",
            way,
            f"{median(one.per_second for one in paces):,.0f}",
            f"{median(one.p50_ms for one in paces):.1f}",
            f"{median(one.p99_ms for one in paces):.1f}",
            "1" if way == TOGETHER else f"{costs.ratio(setting, way):.1f}",
        )


def _delays(found: tuple[float, ...]) -> str:
    return f"{median(found):.1f} ms (at most {max(found):.1f})"


def events(costs: EventCosts) -> str:
    """Events told in batches, beside the insert alone."""
    return f"""A thousand fresh events a batch, over {WORKSPACES} workspaces and four features, one caller, one agency's
pool; told with all that belongs to it (known again, decided, charged, summed by day, recorded) and merely inserted, in
turn.

{table(("What", "ms a batch", "Rounds"), _event_rows(costs))}

In the database an event costs {costs.cost:.1f} times a bare insert (goal: at most {COST_GOAL:g},
{_met(costs.cost <= COST_GOAL)}); the route takes {costs.share:.2f} of the events per second of a route that
only inserts them (goal: at least {ROUTE_GOAL:g}, {_met(costs.share >= ROUTE_GOAL)}).
"""


def _event_rows(costs: EventCosts) -> Iterator[tuple[str, ...]]:
    for name, found in (
        ("told, in the service", costs.told_ms),
        ("inserted, in the service", costs.inserted_ms),
        ("told, over HTTP", costs.route_ms),
        ("inserted, over HTTP", costs.bare_route_ms),
    ):
        yield name, f"{median(found):.1f}", _span(found)


def reports(costs: ReportCosts) -> str:
    """A month of a large agency, from the roll-up and from the events."""
    amount, files = Amount(), ", ".join(f"{seconds:.1f} s as {name}" for name, seconds in costs.formats_s.items())
    return f"""{amount.events:,} events of ninety days, {amount.hot:,} of them of one agency with a hundred workspaces,
the others of {amount.agencies - 1} more. That agency asks for thirty days by workspace, feature and day:
{costs.groups:,} rows, {costs.megabytes:.1f} MB of JSON, summed of {costs.read:,} rows of the roll-up, which tells keys
and models apart.

{table(("What", "Median", "Rounds", "Goal"), _report_rows(costs))}

By key and model besides, as a file: {files}.
"""


def _report_rows(costs: ReportCosts) -> Iterator[tuple[str, ...]]:
    limits = (("ms over HTTP, one caller", costs.api_ms, API_MS), ("ms in PostgreSQL", costs.database_ms, DATABASE_MS))
    for name, found, most in limits:
        yield name, f"{median(found):.1f}", _span(found), f"at most {most:g} ({_met(median(found) <= most)})"
    yield "ms in PostgreSQL, from the events", f"{median(costs.raw_ms):,.0f}", _span(costs.raw_ms), ""
    yield "events by roll-up", f"{costs.ratio:.0f}", "", f"at least {RATIO:g} ({_met(costs.ratio >= RATIO)})"


def _span(found: tuple[float, ...]) -> str:
    return f"{min(found):,.1f} to {max(found):,.1f}"


def peers(plan: Plan, found: Compared) -> str:
    """Ours beside Better Auth's."""
    rows = (
        (name, f"{median([one.per_second for one in samples]):,.0f}", f"{median([one.p50_ms for one in samples]):.1f}")
        for name, samples in ((OURS, found.ours), (THEIRS, found.theirs))
    )
    verdict = _met(found.ratio >= TIMES)
    return f"""**{found.ratio:.1f} times as many verifications; the goal is at least {TIMES:g} ({verdict}).**

A route that verifies a key and tells who calls: `GET /v1/whoami`, and the same of Better Auth 1.7.5 with its API key
plugin behind `node:http`. Each is one process on the same core and keeps keys and counts in the same PostgreSQL server;
both limit the rate, which a second key with a small limit proves before. {plan.connections} connections, {plan.rounds}
rounds of {plan.seconds:g} s in turn; ratios of the rounds {min(found.ratios):.1f} to {max(found.ratios):.1f}.

{table(("Server", "Verifications/s", "p50 ms"), rows)}
"""


def _met(is_met: bool) -> str:
    return "met" if is_met else "missed"
