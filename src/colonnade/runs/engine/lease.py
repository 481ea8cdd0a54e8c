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

PASSING: Final = (
    *UNREACHABLE,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What passes by itself: a database that is away, full, busy or changing places, and collisions with others."""

_RESTS: Final = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)

Verdict = type[LeaseLost] | type[Cancelled]


class Lease:
    """The hold on one run: until when it is surely ours, and whether it was lost or cancelled meanwhile."""

    def __init__(self, claim: Claim, seconds: int, asked_at: float) -> None:
        self.claim = claim
        self.seconds = seconds
        self.verdict: Verdict | None = None
        self.ending = False
        """While the run is being ended or parked, that operation alone tells how it went."""
        self._sure_until = asked_at + seconds

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
        grip = lease.claim.grip
        if grip not in verdicts.lost | verdicts.cancelled:
            lease.extended(asked_at)
        elif not lease.ending:
            lease.judge(Cancelled if grip in verdicts.cancelled else LeaseLost)
            ended.append(lease)
    return ended


async def steadily(pool: Pool, operation: Callable[[Connection], Awaitable[_T]]) -> _T:
    """Do it on a connection of the pool, again after a collision or while the database is away, a few times.

    It may happen that it is done twice: when the connection is lost before the first one's commit is confirmed.
    """
    for rest in _RESTS:
        try:
            return await _once(pool, operation)
        except PASSING as error:
            if pool.is_closing():
                raise
            _log.warning("engine_operation_again", error=type(error).__name__, rest_seconds=rest)
        await asyncio.sleep(rest)
    return await _once(pool, operation)


async def _once(pool: Pool, operation: Callable[[Connection], Awaitable[_T]]) -> _T:
    async with pool.acquire() as connection:
        return await operation(connection)
