"""How often passwords and codes may be tried: by person, and by the address that tries."""

from dataclasses import dataclass
from typing import Final

from colonnade.ground.core.refusals import Refused
from colonnade.ground.core.secrets import Pepper
from colonnade.tenancy.keys import Limiter, subject_of


@dataclass(frozen=True, slots=True)
class Bounds:
    """So many in a minute and in an hour; then one each quarter of an hour until that hour is over."""

    minute: int
    hour: int


OF_ONE: Final = Bounds(6, 12)
OF_ADDRESS: Final = Bounds(30, 120)
"""Behind one address there may be a whole office."""

_MINUTE, _QUARTER, _HOUR = 60, 900, 3600


class Attempts:
    """Counts before anything is compared, so that a right guess beyond the bound is refused like a wrong one.

    The limiter holds the counts, for all processes together; it learns no address of a person, only a keyed digest.
    """

    def __init__(self, limiter: Limiter, pepper: Pepper) -> None:
        self._limiter = limiter
        self._pepper = pepper

    async def password(self, email: str, address: str | None) -> None:
        """Count a password that is tried for this e-mail address, known or not."""
        await self._count(f"login:{subject_of(address)}", OF_ADDRESS)
        await self._count(f"login:{self._pepper.sign('attempts', email)}", OF_ONE)

    async def code(self, person_id: str) -> None:
        """Count a code that is tried for this person."""
        await self._count(f"code:{self._pepper.sign('attempts', person_id)}", OF_ONE)

    async def link(self, email: str, address: str | None) -> None:
        """Count a link that is asked for."""
        await self._count(f"link:{subject_of(address)}", OF_ADDRESS)
        await self._count(f"link:{self._pepper.sign('attempts', email)}", OF_ONE)

    async def _count(self, subject: str, bounds: Bounds) -> None:
        minute = await self._limiter.take(f"{subject}:minute", bounds.minute, _MINUTE)
        if not minute.granted:
            raise _too_many(minute.resets_in_seconds)
        hour = await self._limiter.take(f"{subject}:hour", bounds.hour, _HOUR)
        if hour.granted and hour.remaining:
            return
        # The last one of the hour opens the first quarter; whoever comes in a quarter that is open waits for its end.
        quarter = await self._limiter.take(f"{subject}:quarter", 1, _QUARTER)
        if not (hour.granted or quarter.granted):
            raise _too_many(min(quarter.resets_in_seconds, hour.resets_in_seconds))


def _too_many(seconds: int) -> Refused:
    return Refused(
        "auth.too_many_attempts",
        f"This was tried too often; try again in {seconds} seconds.",
        headers={"Retry-After": str(seconds)},
    )
