"""Scoped transactions: a `Tx` is made from a reach, sees nothing outside of it, and cannot commit by itself."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from colonnade.ground.core.callers import Reach
from colonnade.ground.core.ids import is_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.core.secrets import Pepper
from colonnade.ground.db.address import Address
from colonnade.ground.db.jsonb import decode, encode

Record = asyncpg.Record
if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[Record] | PoolConnectionProxy[Record]
    Pool = asyncpg.Pool[Record]
else:
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

_ACQUIRE_SECONDS: Final = 10.0
_LONG_READS: Final = 2
_IDLE: Final = {"idle_in_transaction_session_timeout": "120000"}
"""A transaction that nobody goes on with holds its locks and its place; after two minutes the server ends it."""
_SCOPE_ID = re.compile(r"[a-z]+_[0-9a-z]{26}")

UNREACHABLE: Final = (
    OSError,
    asyncpg.CannotConnectNowError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.ConnectionFailureError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that the server has just ended and that has not noticed yet
    TimeoutError,
)
"""What is raised when the database cannot be asked at all; nothing of the caller's fault."""
LOST: Final = (ConnectionError, *(kind for kind in UNREACHABLE if kind is not OSError))
"""The same where files are in play too, whose errors are no database's."""


class Tx:
    """An open transaction within a reach. It reads and writes; opening and committing are its door's part."""

    __slots__ = ("_connection", "_now", "pepper", "reach")

    def __init__(self, connection: Connection, reach: Reach, pepper: Pepper) -> None:
        self._connection = connection
        self._now: datetime | None = None
        self.reach = reach
        self.pepper = pepper

    @property
    def agency_id(self) -> str:
        """The agency of this transaction: the value that every SQL text on a tenant table names."""
        return self.reach.agency_id

    async def now(self) -> datetime:
        """The instant of this command: the database's transaction time, the same for all that it writes."""
        if self._now is None:
            self._now = await self._connection.fetchval("select now()")
        return self._now

    def began(self, at: datetime) -> None:
        """Take note of that instant, where another statement has told it, so that nobody has to ask."""
        self._now = at

    async def fetch(self, sql: str, *arguments: Any) -> list[Record]:
        """All rows."""
        return list(await self._connection.fetch(sql, *arguments))

    async def fetchrow(self, sql: str, *arguments: Any) -> Record | None:
        """The first row, if there is one."""
        return await self._connection.fetchrow(sql, *arguments)

    async def fetchone(self, sql: str, *arguments: Any) -> Record:
        """The one row that must be there; none is a broken promise of ours."""
        row = await self._connection.fetchrow(sql, *arguments)
        assert row is not None, "a statement that always returns a row returned none"
        return row

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row, or none."""
        return await self._connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: Any) -> int:
        """Run it; the number of rows that it touched."""
        status = await self._connection.execute(sql, *arguments)
        count = status.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run it once for each row, in one message."""
        await self._connection.executemany(sql, rows)

    def cursor(self, sql: str, *arguments: Any) -> AsyncIterator[Record]:
        """Rows one batch at a time, for exports of any length in constant memory."""
        return aiter(self._connection.cursor(sql, *arguments, prefetch=500))

    async def batches(self, sql: str, *arguments: Any, most: int) -> AsyncGenerator[list[Record], None]:
        """The same in lists of at most so many."""
        cursor = await self._connection.cursor(sql, *arguments)
        while rows := await cursor.fetch(most):
            yield list(rows)

    @contextlib.asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """A part that may fail alone: an exception undoes what it wrote, and the transaction goes on."""
        await self._connection.execute("savepoint part")
        try:
            yield
        except BaseException:
            # Released too, so that one part inside another does not stand in its way, and many do not pile up.
            await self._connection.execute("rollback to savepoint part; release savepoint part")
            raise
        await self._connection.execute("release savepoint part")

    @contextlib.asynccontextmanager
    async def widened(self) -> AsyncIterator["Tx"]:
        """The whole agency in reach for a moment, for what workspaces share by nature: pools and caps.

        Only the slices that the house test lists may use it.
        """
        if self.reach.workspace_ids is None:
            yield self
            return
        whole = Tx(self._connection, Reach(self.agency_id), self.pepper)
        await self._connection.execute("set local app.workspace_ids = '*'")
        yield whole  # when this raises the transaction is lost, and its settings with it
        await self._connection.execute(f"set local app.workspace_ids = '{scope_of(self.reach)}'")


BeforeCommit = Callable[[Tx], Awaitable[None]]


def _agency(reach: Reach) -> str:
    if not is_id("agency", reach.agency_id):
        raise ValueError("a reach needs an agency's id")
    return reach.agency_id


def scope_of(reach: Reach) -> str:
    """The workspaces of a reach as the setting `app.workspace_ids` has them: `*` for all, else their ids."""
    if reach.workspace_ids is None:
        return "*"
    if not all(_SCOPE_ID.fullmatch(identity) for identity in reach.workspace_ids):
        raise ValueError("a reach holds workspace ids only")
    return ",".join(reach.workspace_ids)


def _scoped(reach: Reach) -> str:
    return f"set local app.agency_id = '{_agency(reach)}'; set local app.workspace_ids = '{scope_of(reach)}'"


async def _no_reset(_connection: Connection) -> None:
    """Every setting of ours is local to a transaction, so a released connection needs no cleaning trip."""


class Database:
    """The pool of one role. Everything tenant goes through `transaction`; `lookup` asks before a scope is known."""

    def __init__(
        self,
        address: Address,
        role: str,
        pepper: Pepper,
        *,
        most_connections: int = 10,
        through_pooler: bool = False,
    ) -> None:
        self.address = address
        self.role = role
        self.pepper = pepper
        self._most = most_connections
        self._cache = 0 if through_pooler else 1024
        self._pool: Pool | None = None
        self.long_reads = asyncio.Semaphore(_LONG_READS)
        """Whoever reads for seconds waits for a turn here, so that there are connections left for everybody else."""

    async def open(self) -> None:
        """Connect; the first connection proves address and password."""
        self._pool = await asyncpg.create_pool(
            **self.address.arguments(self.role),
            min_size=1,
            max_size=self._most,
            reset=_no_reset,
            statement_cache_size=self._cache,
            command_timeout=60,
            server_settings=_IDLE if self._cache else {},  # a pooler may refuse what it does not know
            init=_prepare,
        )

    async def close(self) -> None:
        """Let running transactions end, then disconnect."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    @property
    def pool(self) -> Pool:
        """The pool itself, for the engine that speaks in its own connections."""
        assert self._pool is not None, "the database was used before open()"
        return self._pool

    @contextlib.asynccontextmanager
    async def transaction(
        self,
        reach: Reach,
        *,
        read_only: bool = False,
        snapshot: bool = False,
        before_commit: BeforeCommit | None = None,
    ) -> AsyncIterator[Tx]:
        """Begin within this reach, commit at the end of the block, undo everything when it raises.

        With `snapshot` all its statements see the one instant of the first of them.
        """
        kind = f"{' isolation level repeatable read' if snapshot else ''}{' read only' if read_only else ''}"
        scope = f"begin{kind}; {_scoped(reach)}"
        async with self.pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
            ended = False
            try:
                await connection.execute(scope)
                tx = Tx(connection, reach, self.pepper)
                yield tx
                if before_commit is not None:
                    await before_commit(tx)
                await connection.execute("commit")
                ended = True
            finally:
                if not ended and not _is_lost(connection):
                    await connection.execute("rollback")

    async def adopt(self, connection: Connection, reach: Reach) -> Tx:
        """Scope a transaction that is already open, so that ours and the engine's rows commit together."""
        await connection.execute(_scoped(reach))
        return Tx(connection, reach, self.pepper)

    async def lookup(self, sql: str, *arguments: Any) -> list[Record]:
        """Call one of the look-up functions outside of any tenant's scope, in a statement of its own."""
        async with self.pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
            return list(await connection.fetch(sql, *arguments))

    async def connect(self, *, timeout_seconds: float = 60) -> "asyncpg.Connection[Record]":
        """A connection of one's own, for listening or for a task that owns it; the caller closes it."""
        connection: asyncpg.Connection[Record] = await asyncpg.connect(
            **self.address.arguments(self.role), command_timeout=60, timeout=timeout_seconds
        )
        try:
            async with asyncio.timeout(timeout_seconds):
                await _prepare(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection


def _is_lost(connection: Connection) -> bool:
    """Whether nothing is left to be undone: a pool takes a connection away as soon as the server has ended it."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


async def _prepare(connection: Connection) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=encode, decoder=decode, format="text")


def unavailable() -> Refused:
    """The refusal for a database that cannot be asked right now."""
    return Refused(
        "service.unavailable",
        "The database does not answer right now; nothing of the request was kept. Try again in a moment.",
        headers={"Retry-After": "1"},
    )
