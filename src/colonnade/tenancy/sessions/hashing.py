"""Passwords as they are kept: argon2id (RFC 9106), computed in few threads of their own so that the loop goes on."""

import asyncio
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from colonnade.ground.core.refusals import Refused
from colonnade.tenancy.sessions.model import normal_password

Answer = TypeVar("Answer")

AT_ONCE: Final = 2
_MOST_WAITING: Final = 64

USUAL: Final = PasswordHasher(time_cost=2, memory_cost=46 * 1024, parallelism=1)
"""46 MiB and two passes; what is kept with other parameters is hashed anew when its person signs in."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password fits, and whether what is kept of it should be made anew."""

    fits: bool
    is_stale: bool = False


class Hasher:
    """One for each process. However many sign in at once, two passwords are hashed at a time."""

    def __init__(self, argon2: PasswordHasher = USUAL) -> None:
        self._argon2 = argon2
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="passwords")
        self._waiting = 0
        self._decoy = _decoy(argon2)

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        return await self._run(lambda: self._argon2.hash(normal_password(password)))

    async def verify(self, kept: str | None, password: str) -> Verdict:
        """Whether the password is the one that is kept; where none is kept the work is the same, and the answer no."""
        return await self._run(lambda: self._verify(kept or self._decoy, normal_password(password)))

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)

    def _verify(self, kept: str, password: str) -> Verdict:
        try:
            self._argon2.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return Verdict(fits=False)
        return Verdict(fits=True, is_stale=self._argon2.check_needs_rehash(kept))

    async def _run(self, work: Callable[[], Answer]) -> Answer:
        if self._waiting >= _MOST_WAITING:
            raise Refused(
                "service.unavailable", "Too many people sign in at this moment.", headers={"Retry-After": "2"}
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def _decoy(argon2: PasswordHasher) -> str:
    """A kept password that nothing fits, and that costs what the others cost."""
    salt, digest = (b64encode(bytes(size)).decode().rstrip("=") for size in (argon2.salt_len, argon2.hash_len))
    costs = f"m={argon2.memory_cost},t={argon2.time_cost},p={argon2.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${digest}"
