"""What every process of an installation begins with: its tie to a parent, its log lines, its socket."""

import logging
import os
import socket
import sys
import threading
import time

import structlog

from colonnade.ground.db.processes import die_with_parent
from colonnade.settings import Settings

_LOOK_SECONDS = 1.0
_ORPHAN_SECONDS = 30.0
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def belong_to(parent: int | None) -> None:
    """End with the process that started this one, where there is such a one: at once if possible, and for certain."""
    if parent is not None:
        die_with_parent(parent)
        threading.Thread(target=_follow, args=(parent,), name="follow-parent", daemon=True).start()


def _follow(parent: int) -> None:
    """Wait for the parent's end and then for the draining; whatever still hangs by then hangs on what is gone."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    time.sleep(_ORPHAN_SECONDS)
    os._exit(1)


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
