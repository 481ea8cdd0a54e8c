"""The life of one claimed run in this process: its function, its end, and what becomes of it when it may not go on."""

import asyncio
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from colonnade.ground.db.database import Connection, Pool
from colonnade.runs.engine import gateway
from colonnade.runs.engine.context import Context, DurableFunction
from colonnade.runs.engine.lease import Lease, steadily
from colonnade.runs.engine.model import (
    Cancelled,
    Claim,
    Completed,
    Failed,
    GiveUp,
    HandedBack,
    Hooks,
    LeaseLost,
    Outcome,
    Suspended,
    TooManyLostLeases,
    TryAgain,
)

_log = structlog.get_logger(__name__)

_UNKNOWN_REST_SECONDS: Final = 15.0
"""A name that this version does not know waits so long for a worker of the version that does."""


@dataclass(slots=True)
class Counters:
    """What a worker did since it started."""

    claimed: int = 0
    finished: int = 0
    failed: int = 0
    retried: int = 0
    parked: int = 0
    cancelled: int = 0
    lost: int = 0
    handed_back: int = 0
    unsaved: int = 0
    """Ends that could not be written; their leases run out and another worker does them again."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every run in this process shares."""

    pool: Pool
    functions: Mapping[str, DurableFunction]
    hooks: Hooks
    counters: Counters
    stopping: asyncio.Event
    max_lost_leases: int


class Execution:
    """One claimed run. `carry_out` returns when it has ended, was parked, or belongs to somebody else."""

    def __init__(self, lease: Lease, around: Surroundings) -> None:
        self.lease = lease
        self._around = around
        self._context = Context(around.pool, lease, around.stopping.is_set)
        self._function: asyncio.Task[Mapping[str, object]] | None = None
        self._giving_back = False
        self._log = _log.bind(task=str(self.claim.task_id), name=self.claim.name, attempt=self.claim.attempt)

    @property
    def claim(self) -> Claim:
        """The run."""
        return self.lease.claim

    def interrupt(self) -> None:
        """Stop the function where it stands, because the lease was lost or the task cancelled."""
        if self._function is not None:
            self._function.cancel()

    def give_back(self) -> None:
        """Stop the function where it stands and let another worker have the run."""
        if not self.lease.ending:
            self._giving_back = True
            self.interrupt()

    async def carry_out(self) -> None:
        """Run the function and write its end; nothing but a bug of the engine itself is raised."""
        try:
            ended = await self._run()
            if ended is not None:
                self.lease.ending = True
                await self._end(ended)
        except (LeaseLost, Cancelled) as refusal:
            self.lease.judge(type(refusal))
        except Exception as error:
            self._unsaved(error)
        self._count_verdict()

    async def _run(self) -> Outcome | None:
        lost = await self._take_over()
        if lost > self._around.max_lost_leases:
            return Failed(TooManyLostLeases(f"{lost} workers were lost with it"), self.claim.tally.failures, final=True)
        function = self._around.functions.get(self.claim.name)
        if function is None:
            self._log.warning("durable_function_unknown")
            await self._hand_back(_UNKNOWN_REST_SECONDS)
            return None
        return await self._outcome(function)

    async def _take_over(self) -> int:
        """Tell the house when this run was taken from a lost worker; the number of leases lost so far."""
        claim = self.claim
        lost = claim.tally.lost(claim.attempt)
        if lost > 0 and claim.tally.failed_at != claim.attempt - 1:
            self._log.warning("lease_of_another_lost", lost=lost)
            await steadily(self._around.pool, lambda connection: self._tell_lost(connection, lost))
        return lost

    async def _tell_lost(self, connection: Connection, lost: int) -> None:
        async with connection.transaction():
            await self._around.hooks.lost_lease(connection, self.claim, lost)

    async def _outcome(self, function: DurableFunction) -> Outcome | None:
        try:
            self.lease.check()
            result = await self._call(function)
            self.lease.check()
        except Suspended:
            self._around.counters.parked += 1
        except HandedBack:
            await self._hand_back()
        except asyncio.CancelledError:
            return await self._after_interrupt()
        except (LeaseLost, Cancelled):
            raise
        except Exception as error:
            self.lease.check()
            return self._failed(error)
        else:
            return Completed(result)
        return None

    async def _call(self, function: DurableFunction) -> Mapping[str, object]:
        self._function = asyncio.create_task(self._function_and_its_steps(function))
        try:
            await asyncio.wait({self._function})
        finally:
            self._function.cancel()
        try:
            return self._function.result()
        except BaseExceptionGroup as group:
            raise _unwrapped(group) from None

    async def _function_and_its_steps(self, function: DurableFunction) -> Mapping[str, object]:
        try:
            return await function(self._context, self.claim.params)
        finally:
            await self._context.settled()

    async def _after_interrupt(self) -> Outcome | None:
        self.lease.check()
        current = asyncio.current_task()
        if current is not None and current.cancelling():
            raise asyncio.CancelledError
        if not self._giving_back:
            return self._failed(RuntimeError("the function cancelled itself"))
        if not self._context.has_open_steps:
            await self._hand_back()
        return None

    async def _hand_back(self, after_seconds: float = 0.0) -> None:
        self.lease.ending = True
        await steadily(
            self._around.pool,
            lambda connection: gateway.hand_back(connection, self.claim, after_seconds=after_seconds),
        )
        self._around.counters.handed_back += 1

    def _failed(self, error: Exception) -> Failed:
        failures = self.claim.tally.failures + 1
        final = isinstance(error, GiveUp) or failures >= self.claim.retry.max_attempts
        if not isinstance(error, GiveUp | TryAgain):
            say = self._log.error if final else self._log.warning
            say("durable_function_raised", error=type(error).__name__, where=_places(error), final=final)
        asked = error.after_seconds if isinstance(error, TryAgain) else None
        rest = self.claim.retry.rest_seconds(failures) if asked is None else asked
        return Failed(error, failures, final, 0.0 if final else rest)

    async def _end(self, outcome: Outcome) -> None:
        try:
            await steadily(self._around.pool, lambda connection: self._write_end(connection, outcome))
        except (LeaseLost, Cancelled):
            raise
        except Exception as error:
            if isinstance(outcome, Failed):
                raise
            # The end was refused by our own side: the try failed, and its steps will not be done again.
            await self._end(self._failed(error))
            return
        self._count_end(outcome)

    async def _write_end(self, connection: Connection, outcome: Outcome) -> None:
        """The house's rows first, the engine's last: one order of locks everywhere, one commit for both."""
        async with connection.transaction():
            await self._around.hooks.ended(connection, self.claim, outcome)
            if isinstance(outcome, Completed):
                await gateway.complete(connection, self.claim, outcome.result)
            else:
                await gateway.fail(connection, self.claim, outcome)

    def _count_end(self, outcome: Outcome) -> None:
        counters = self._around.counters
        if isinstance(outcome, Completed):
            counters.finished += 1
        elif outcome.final:
            counters.failed += 1
        else:
            counters.retried += 1

    def _count_verdict(self) -> None:
        if self.lease.verdict is Cancelled:
            self._around.counters.cancelled += 1
        elif self.lease.verdict is LeaseLost:
            self._around.counters.lost += 1
            self._log.warning("lease_lost")

    def _unsaved(self, error: Exception) -> None:
        self._around.counters.unsaved += 1
        self._log.error("end_of_run_not_saved", error=type(error).__name__, where=_places(error))


def _unwrapped(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The engine's own signal, where a task group of the function wrapped it; else the group as it is."""
    for signal in (Suspended, HandedBack, LeaseLost, Cancelled, GiveUp):
        found: BaseException | None = group.subgroup(signal)
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        if found is not None:
            return found
    return group


def _places(error: BaseException) -> list[str]:
    """Where it was raised, without its words: they may repeat what a caller sent."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
