"""What this process knows of its hold on one run, and the patience with which it speaks to a failing database."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg
import structlog

from colonnade.ground.db.database import UNREACHABLE, Connection, Pool
from colonnade.runs.engine import gateway
from colonnade.runs.engine.model import Cancelled, Claim, LeaseLost

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")

_COLLISIONS: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_RESTS: Final = (0.1, 0.5, 2.0)

Verdict = type[LeaseLost] | type[Cancelled]


class Lease:
    """The hold on one run: until when it is surely ours, and whether it was lost or cancelled meanwhile."""

    def __init__(self, claim: Claim, seconds: int) -> None:
        self.claim = claim
        self.seconds = seconds
        self.verdict: Verdict | None = None
        self.ending = False
        """While the run is being ended or parked, that operation alone tells how it went."""
        self._sure_until = time.monotonic() + seconds

    @property
    def is_sure(self) -> bool:
        """Whether nobody else can have taken the run; false after a pause longer than the lease."""
        return time.monotonic() < self._sure_until

    def extended(self, asked_at: float) -> None:
        """The lease was lengthened by a question asked at this instant."""
        self._sure_until = asked_at + self.seconds

    def judge(self, verdict: Verdict) -> None:
        """From here on everything that the run wants to do is refused."""
        if self.verdict is None:
            self.verdict = verdict

    def check(self) -> None:
        """Raise when the run was lost or cancelled."""
        if self.verdict is not None:
            raise self.verdict("the run has to stop here")

    async def extend(self, connection: Connection) -> None:
        """Lengthen this lease alone."""
        asked_at = time.monotonic()
        claim = self.claim
        verdicts = await gateway.extend(connection, claim.queue, [claim], self.seconds)
        apply_verdicts([self], verdicts, asked_at)


def apply_verdicts(leases: list[Lease], verdicts: gateway.Verdicts, asked_at: float) -> list[Lease]:
    """Note what an extension found; the leases that it ended."""
    ended = []
    for lease in leases:
        run_id = lease.claim.run_id
        if run_id not in verdicts.lost | verdicts.cancelled:
            lease.extended(asked_at)
        elif not lease.ending:
            lease.judge(Cancelled if run_id in verdicts.cancelled else LeaseLost)
            ended.append(lease)
    return ended


async def steadily(pool: Pool, operation: Callable[[Connection], Awaitable[_T]]) -> _T:
    """Do it in one transaction, again after a collision or while the database is away, a few times."""
    for rest in _RESTS:
        try:
            return await _in_transaction(pool, operation)
        except (*UNREACHABLE, *_COLLISIONS) as error:
            if pool.is_closing():
                raise
            _log.warning("engine_operation_again", error=type(error).__name__, rest_seconds=rest)
        await asyncio.sleep(rest)
    return await _in_transaction(pool, operation)


async def _in_transaction(pool: Pool, operation: Callable[[Connection], Awaitable[_T]]) -> _T:
    async with pool.acquire() as connection, connection.transaction():
        return await operation(connection)
