"""The protocol on each connection: uvicorn's own, but no head of a request is endless in bytes or in time."""

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from colonnade.ground.core.ids import new_request_id
from colonnade.ground.core.refusals import Refused
from colonnade.ground.web.envelope import MOST_HEAD_BYTES
from colonnade.ground.web.problems import MEDIA_TYPE, document


class BoundedLine(HttpToolsProtocol):
    """Closes connections on which nobody says a whole head within its time; they would be held for ever otherwise."""

    head_seconds: float = 20.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection begins: the first head is due."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._forget_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes arrive; those of a head that is still under way are counted, and its rest is due."""
        was_under_way = self._head_bytes is not None
        super().data_received(data)
        if self._head_bytes is None:  # as nearly always: a head comes in one piece
            return
        self._expect_head()
        if was_under_way:
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        super().on_message_begin()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """The last byte of a head."""
        self._forget_head()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What cannot be read is refused like everything else, and the connection closed."""
        refused = Refused("request.malformed", f"{msg.rstrip('.')}.")
        request_id = new_request_id()
        body = json.dumps(document(refused, request_id)).encode()
        head = (
            f"HTTP/1.1 400 Bad Request\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {len(body)}\r\n"
            f"X-Request-Id: {request_id}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self.timeout_keep_alive_handler)

    def _forget_head(self) -> None:
        self._head_bytes = None
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
