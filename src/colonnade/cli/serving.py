"""The two kinds of processes that `up` starts: one answers requests, the other carries out runs."""

import asyncio
import logging
import socket
import sys

import structlog
import uvicorn
from starlette.types import ASGIApp

from colonnade import app, worker
from colonnade.ground.db.processes import die_with_parent
from colonnade.ground.web.line import BoundedLine
from colonnade.installation import address_of, direct_address_of
from colonnade.settings import Settings, master_key_of, pepper_of

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_DRAIN_SECONDS = 10


def belong_to(parent: int | None) -> None:
    """End with the process that started this one, where there is such a one."""
    if parent is not None:
        die_with_parent(parent)


def set_up_logs(settings: Settings) -> None:
    """One line an event: for people on a terminal, as JSON elsewhere."""
    people = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    # A trace tells where, never with which values: local variables hold credentials.
    to_dicts = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
    to_lines = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer = to_lines if people else structlog.processors.JSONRenderer()
    errors = [] if people else [to_dicts]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *errors,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.log_level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket that child processes share; the address in use is an OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


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
    uvicorn.Server(configured(app.create(settings, address_of(settings)))).run(sockets=[listener])


def work(settings: Settings) -> None:
    """Carry out runs until SIGTERM; what is under way is finished or handed back."""
    set_up_logs(settings)
    # A worker listens and holds advisory locks, so it goes around a pooler.
    address = direct_address_of(settings)
    options = worker.options_from(settings, address, pepper_of(settings), master_key_of(settings))
    asyncio.run(worker.work(options))
