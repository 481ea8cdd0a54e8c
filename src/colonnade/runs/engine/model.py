"""The nouns of the engine: tasks and claims, how a run may end, and the exceptions a durable function may meet."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NewType, Protocol, TypeAlias
from uuid import UUID

from colonnade.ground.db.database import Connection

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
TaskId = NewType("TaskId", UUID)
"""A task is the whole of it, from spawn to its end."""
RunId = NewType("RunId", UUID)
"""One try of a task; a lost lease or a failure begins the next one, a wait or a sleep does not."""

Grip: TypeAlias = tuple[RunId, str]
TALLY: Final = "$tally"
"""The journal's entry in which failures are counted; names with `$` are the engine's own."""

_chance: Final = random.SystemRandom()


class LeaseLost(Exception):
    """This process no longer holds the run: whatever it does from here on is refused."""


class Cancelled(Exception):
    """The task was cancelled; its run here has to stop."""


class GiveUp(Exception):
    """Raised by a durable function to end its task as failed at once. The sentence is kept, so it holds no secret."""


class TryAgain(Exception):
    """Raised by a durable function to fail this try, with its own delay if it knows one. The sentence is kept."""

    def __init__(self, sentence: str, *, after_seconds: float | None = None) -> None:
        super().__init__(sentence)
        self.after_seconds = after_seconds


class TooManyLostLeases(Exception):
    """Every worker that took this task was lost with it, so that it is not handed to another one."""


class Suspended(BaseException):
    """Unwinds a durable function whose run is parked. Not an Exception, so that no function catches it unawares."""


class HandedBack(BaseException):
    """Unwinds a durable function between two steps because this worker is stopping."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a task may fail, and how long it rests: the rest doubles, and half of it is left to chance."""

    max_attempts: int = 5
    base_seconds: float = 2.0
    max_seconds: float = 600.0

    def rest_seconds(self, failures: int) -> float:
        """The rest after so many failures."""
        longest = min(self.max_seconds, self.base_seconds * 2.0 ** min(failures - 1, 30))
        return _chance.uniform(longest / 2, longest)


@dataclass(frozen=True, slots=True)
class NewTask:
    """What to run: the function's name, what it is given, and the key under which it exists only once."""

    name: str
    params: Mapping[str, Any]
    key: str
    headers: Mapping[str, str] = field(default_factory=dict)
    retry: Retry = Retry()


@dataclass(frozen=True, slots=True)
class Tally:
    """What went wrong so far. A try that ended neither well nor as a counted failure was lost with its worker."""

    failures: int = 0
    failed_at: int = 0
    """The number of the last try that failed."""
    settled: int = 0
    """How many of the earlier tries were failures, or were forgiven by a retry by hand."""

    def lost(self, attempt: int) -> int:
        """How many leases were lost before this try."""
        return attempt - 1 - self.settled

    def failed(self, attempt: int) -> "Tally":
        """The tally after this try failed."""
        return Tally(self.failures + 1, attempt, self.settled + 1)


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that this process holds, with everything its earlier tries wrote into the journal."""

    queue: str
    task_id: TaskId
    run_id: RunId
    attempt: int
    holder: str
    """Names this one claim, not only its worker: a run that was parked and taken again has another holder."""
    name: str
    params: dict[str, Any]
    headers: dict[str, str]
    retry: Retry
    journal: dict[str, Any]

    @property
    def grip(self) -> Grip:
        """Which hold on which run this is."""
        return self.run_id, self.holder

    @property
    def tally(self) -> Tally:
        """What went wrong in earlier tries."""
        return Tally(**self.journal.get(TALLY, {}))


@dataclass(frozen=True, slots=True)
class TaskState:
    """How a task stands: its state in the engine's words, its result once it is completed."""

    state: str
    result: Any
    failure: Any


@dataclass(frozen=True, slots=True)
class Expired:
    """The answer to a wait whose deadline passed before the event came."""

    event: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """The event of a wait had been emitted, now or earlier."""

    payload: Any


@dataclass(frozen=True, slots=True)
class Parked:
    """The run is put away until its event or its deadline; nothing of it is left in this process."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The function returned."""

    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """The function raised. When it is not final, another try follows after the rest."""

    error: Exception
    failures: int
    final: bool
    rest_seconds: float = 0.0

    @property
    def sentence(self) -> str:
        """What may be kept and shown: words that were written for it, else only the sort of the error."""
        if isinstance(self.error, GiveUp | TryAgain | TooManyLostLeases):
            return str(self.error)
        return type(self.error).__name__


Outcome: TypeAlias = Completed | Failed


class Hooks(Protocol):
    """What the house adds to the engine's own writes, in the engine's own transactions."""

    async def ended(self, connection: Connection, claim: Claim, outcome: Outcome) -> None:
        """Called before the engine writes the end, in the same transaction; raising undoes both."""

    async def lost_lease(self, connection: Connection, claim: Claim, lost: int) -> None:
        """Called by the worker that takes over, with the number of leases lost so far; may repeat a number."""


Deadline: TypeAlias = datetime | None
