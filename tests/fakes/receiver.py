"""A real HTTP receiver on loopback: remembers every request, answers as a test scripts it.

async with Receiver() as receiver:
    receiver.answer(503, headers={"retry-after": "1"})
"""

import asyncio
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import h11

Body = bytes | str | Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it came over the wire; names of headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class ScriptedAnswer:
    """What to say: a body may be a function that makes a stream, sent in chunks as they come."""

    status: int = 200
    body: Body = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0


class Receiver:
    """Listens on a free loopback port while it is entered. Without a script it answers 200 with an empty body."""

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[ReceivedRequest] = []
        self.connections = 0
        self.port = port
        self._host = host
        self._tls = tls
        self._standing: dict[str | None, ScriptedAnswer] = {None: ScriptedAnswer()}
        self._next: deque[ScriptedAnswer] = deque()
        self._decide: Callable[[ReceivedRequest], ScriptedAnswer] = self._scripted
        self._arrived = asyncio.Condition()
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, self._host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    def answer(
        self,
        status: int = 200,
        body: Body = b"",
        headers: Mapping[str, str] | None = None,
        delay: float = 0,
        *,
        path: str | None = None,
    ) -> None:
        """From now on every request (or every one for this path) is answered so."""
        self._standing[path] = ScriptedAnswer(status, body, headers or {}, delay)

    def answer_next(
        self, status: int = 200, body: Body = b"", headers: Mapping[str, str] | None = None, delay: float = 0
    ) -> None:
        """One request is answered so, before the standing answer holds again; several calls queue up."""
        self._next.append(ScriptedAnswer(status, body, headers or {}, delay))

    def answer_with(self, decide: Callable[[ReceivedRequest], ScriptedAnswer]) -> None:
        """From now on the function decides, from the request, what is answered."""
        self._decide = decide

    async def received(self, count: int = 1, *, within_seconds: float = 10) -> list[ReceivedRequest]:
        """Waits until that many requests have come in all, and returns all of them."""
        async with asyncio.timeout(within_seconds), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return list(self.requests)

    def _scripted(self, request: ReceivedRequest) -> ScriptedAnswer:
        if self._next:
            return self._next.popleft()
        path = request.target.partition("?")[0]
        return self._standing.get(path, self._standing[None])

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = h11.Connection(h11.SERVER)
        try:
            while request := await _read(wire, reader):
                await self._remember(request)
                await _write(wire, writer, self._decide(request))
                if wire.states[h11.SERVER] is not h11.DONE or wire.states[h11.CLIENT] is not h11.DONE:
                    break
                wire.start_next_cycle()
        except (ConnectionError, ssl.SSLError):
            pass  # The caller hung up, which is what some tests are about.
        finally:
            writer.close()

    async def _remember(self, request: ReceivedRequest) -> None:
        async with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()


async def _read(wire: h11.Connection, reader: asyncio.StreamReader) -> ReceivedRequest | None:
    head: h11.Request | None = None
    body = b""
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
            return ReceivedRequest(head.method.decode("ascii"), head.target.decode("latin-1"), headers, body)
        else:
            return None


async def _write(wire: h11.Connection, writer: asyncio.StreamWriter, answer: ScriptedAnswer) -> None:
    await asyncio.sleep(answer.delay)
    headers = dict(answer.headers)
    if not callable(answer.body):
        whole = answer.body.encode() if isinstance(answer.body, str) else answer.body
        headers.setdefault("content-length", str(len(whole)))
    await _send(wire, writer, h11.Response(status_code=answer.status, headers=list(headers.items())))
    if callable(answer.body):
        async for chunk in answer.body():
            await _send(wire, writer, h11.Data(data=chunk))
    elif whole:
        await _send(wire, writer, h11.Data(data=whole))
    await _send(wire, writer, h11.EndOfMessage())


async def _send(wire: h11.Connection, writer: asyncio.StreamWriter, event: h11.Event) -> None:
    writer.write(wire.send(event) or b"")
    await writer.drain()
