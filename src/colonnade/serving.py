"""The process that answers requests: `python -m colonnade.serving`, started by `up` and by `colonnade serve`.

An entry of its own, so that commands and workers do not load what only servers need.
"""

import argparse
import gc
import socket

import uvicorn
from starlette.types import ASGIApp

from colonnade import app
from colonnade.ground.web.line import BoundedLine
from colonnade.installation import address_of
from colonnade.processes import belong_to, listen, set_up_logs
from colonnade.settings import Settings

_DRAIN_SECONDS = 10


def configured(application: ASGIApp) -> uvicorn.Config:
    """How the application is put on a socket, here and in tests of what arrives there."""
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=BoundedLine,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


def serve(settings: Settings, listener: socket.socket) -> None:
    """Answer requests until SIGTERM; those under way are finished first."""
    set_up_logs(settings)
    answer(app.create(settings, address_of(settings)), listener)


def answer(application: ASGIApp, listener: socket.socket) -> None:
    """Let an application answer what comes in by this socket, until SIGTERM."""
    gc.collect()
    gc.freeze()  # what is here now stays as long as the process, so no later collection looks through it again
    uvicorn.Server(configured(application)).run(sockets=[listener])


def main() -> None:
    """Serve on a socket that a parent hands on, or on one's own."""
    words = argparse.ArgumentParser(prog="colonnade serve")
    words.add_argument("--fd", type=int)
    words.add_argument("--parent", type=int)
    given = words.parse_args()
    belong_to(given.parent)
    settings = Settings()
    listener = listen(settings.host, settings.port) if given.fd is None else socket.socket(fileno=given.fd)
    serve(settings, listener)


if __name__ == "__main__":
    main()
