"""The places where secrets are made and where something leaves: each is the real one, with an ear beside it."""

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
import structlog
from starlette.types import Message, Receive, Scope, Send

from colonnade.ground.core.secrets import Pepper, Secret
from colonnade.ground.db.address import Address
from colonnade.ground.web.envelope import Envelope
from colonnade.ground.web.visits import visit_of
from colonnade.outbound.mail import posting
from colonnade.outbound.mail.model import Letter
from colonnade.tenancy.sessions import Hasher
from colonnade.tenancy.sessions.hashing import Verdict
from tests.sweep import places
from tests.sweep.known import CSRF, PASSWORD, RECOVERY_CODE, SESSION, TOTP_PICTURE, TOTP_SECRET, TOTP_URI, Known

_MINTING: Final = {
    "POST /v1/api-keys",
    "POST /v1/api-keys/{key_id}/roll",
    "POST /v1/workspaces/{workspace_id}/api-keys",
    "POST /v1/workspaces/{workspace_id}/api-keys/{key_id}/roll",
    "POST /company/workspaces/{workspace_id}/api-keys",
}
_BEGINNING: Final = {
    "POST /v1/auth/login",
    "POST /v1/auth/switch",
    "POST /v1/auth/accept-invitation",
    "POST /v1/me/password",
    "POST /v1/me/totp/confirm",
    "DELETE /v1/me/totp",
}
_ENROLLING: Final = {"POST /v1/me/totp"}
_IN_BODIES: Final = {
    **dict.fromkeys(("agency_live", "agency_test", "ws_live", "ws_test"), _MINTING),
    **dict.fromkeys((TOTP_SECRET, TOTP_URI, TOTP_PICTURE), _ENROLLING),
    RECOVERY_CODE: {"POST /v1/me/totp/confirm", "POST /v1/me/totp/recovery-codes"},
}
_IN_HEADS: Final = {SESSION: _BEGINNING}
"""Which answers show what, once. The token against forged requests is told to its session as often as it asks."""

_MAILED: Final = {"invite", "reset"}


class Sweep:
    """Everything that was made, and every place where some of it was found and must not be."""

    def __init__(self) -> None:
        self.known = Known()
        self.leaks: places.Leaks = Counter()
        self._shown: set[bytes] = set()
        self._first: dict[tuple[str, str], str] = {}

    def told(self) -> str:
        """What is wrong, without a word of what is secret."""
        lines = [
            f"  {place}: {count} × {kind}{self._first.get((place, kind), '')}"
            for (place, kind), count in sorted(self.leaks.items())
        ]
        return "\n".join(["Secrets stand in clear where none may:", *lines])

    def heard(self, report: pytest.TestReport) -> None:
        """Look at what was written while a test ran, logs and standard streams; what is found is cut out of it."""
        for number, (name, text) in enumerate(report.sections):
            found = self.known.found(text.encode("utf-8", "replace"), strangers=True)
            if name.endswith(f" {report.when}"):
                self._leaked(name, *found.values())
            report.sections[number] = (name, _without(text, found))

    def answered(self, operation: str, head: bytes, body: bytes) -> None:
        """Look at an answer: it may show what it is there to show, and nothing that was shown before."""
        for part, content, shows in (("head", head, _IN_HEADS), ("body", body, _IN_BODIES)):
            for secret, kind in self.known.found(content).items():
                if kind == CSRF and part == "body":
                    continue
                if operation not in shows.get(kind, ()) or secret in self._shown:
                    self._leaked(f"{part} of the answer to {operation}", kind)
                self._shown.add(secret)

    def mailed(self, letter: Letter) -> None:
        """Look at a mail: one token at most, in its parts alone, and in no other mail."""
        head = "\n".join(f"{name}: {value}" for name, value in letter.message.items())
        texts = [part.get_content() for part in letter.message.walk() if part.get_content_maintype() == "text"]
        self._leaked("head of a mail", *self.known.found(head.encode(), strangers=True).values())
        found = self.known.found("\n".join(texts).encode())
        for secret, kind in found.items():
            if kind not in _MAILED or len(found) > 1 or secret in self._shown:
                self._leaked("text of a mail", kind)
            self._shown.add(secret)

    async def look_at(self, address: Address, folder: Path) -> None:
        """Look into every table of a database, and into the logs of its server."""
        superuser = await asyncpg.connect(**address.arguments("postgres"))
        try:
            self.leaks += await places.in_tables(superuser, self.known)
        finally:
            await superuser.close()
        for path in sorted(folder.joinpath("log").glob("*")):
            self.leaks += places.in_file(path, self.known)

    def _leaked(self, place: str, *kinds: str) -> None:
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]
        for kind in kinds:
            self.leaks[place, kind] += 1
            self._first.setdefault((place, kind), f", first in {test}")


def _without(text: str, found: Mapping[bytes, str]) -> str:
    for secret, kind in found.items():
        text = text.replace(secret.decode(), f"({kind})")
    return text


@contextlib.contextmanager
def watching(sweep: Sweep) -> Iterator[None]:
    """Hear what is made and what leaves until the end."""
    with pytest.MonkeyPatch.context() as patch:
        _hear_of_secrets(sweep.known, patch)
        _hear_of_answers(sweep, patch)
        _hear_of_mails(sweep, patch)
        _write_traces_as_processes_do()
        yield
    structlog.reset_defaults()


def _hear_of_secrets(known: Known, patch: pytest.MonkeyPatch) -> None:
    wrap, keep, compare, sign = Secret.__init__, Hasher.hash, Hasher.verify, Pepper.sign

    def wrapped(self: Secret, text: str) -> None:
        wrap(self, text)
        known.note(text)

    async def kept(self: Hasher, password: str) -> str:
        known.note(password, PASSWORD)
        return await keep(self, password)

    async def compared(self: Hasher, encoded: str | None, password: str) -> Verdict:
        known.note(password, PASSWORD)
        return await compare(self, encoded, password)

    def signed(self: Pepper, purpose: str, text: str) -> str:
        made = sign(self, purpose, text)
        if purpose == "csrf":
            known.note(made, CSRF)
        return made

    patch.setattr(Secret, "__init__", wrapped)
    patch.setattr(Hasher, "hash", kept)
    patch.setattr(Hasher, "verify", compared)
    patch.setattr(Pepper, "sign", signed)


def _hear_of_answers(sweep: Sweep, patch: pytest.MonkeyPatch) -> None:
    serve = Envelope.__call__

    async def served(self: Envelope, scope: Scope, receive: Receive, send: Send) -> None:
        said = _Said(send)
        await serve(self, scope, receive, said)
        if scope["type"] == "http":
            visit = visit_of(scope)
            sweep.answered(f"{visit.method} {visit.route or '(no route)'}", b"\n".join(said.head), b"".join(said.body))

    patch.setattr(Envelope, "__call__", served)


class _Said:
    """An answer on its way, and a copy of it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.head: list[bytes] = []
        self.body: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        self.head += [name + b": " + value for name, value in message.get("headers", ())]
        self.body.append(message.get("body", b""))
        await self._send(message)


def _hear_of_mails(sweep: Sweep, patch: pytest.MonkeyPatch) -> None:
    write = posting._as_bytes

    def written(letter: Letter) -> bytes:
        sweep.mailed(letter)
        return write(letter)

    patch.setattr(posting, "_as_bytes", written)


def _write_traces_as_processes_do() -> None:
    """Without the values of local variables, which the library shows by itself until it is told otherwise."""
    usual: list[Any] = structlog.get_config()["processors"][:-1]
    lines = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*usual, lines])
