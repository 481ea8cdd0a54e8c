"""A server whose machine's clock is wrong: `python ahead.py SECONDS …` is `python -m colonnade.serving …`, later."""

import datetime as dt
import runpy
import sys
import time
from typing import Any

AHEAD = float(sys.argv.pop(1))
_right, _right_ns = time.time, time.time_ns
_Datetime = dt.datetime


class _Kind(type):
    """Moments of the right clock are moments too."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _Datetime)


class _Ahead(_Datetime, metaclass=_Kind):
    """A calendar that reads the wrong clock."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:
        return _Datetime.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return _Datetime.fromtimestamp(time.time(), dt.UTC).replace(tzinfo=None)


time.time = lambda: _right() + AHEAD
time.time_ns = lambda: _right_ns() + int(AHEAD * 1e9)
dt.datetime = _Ahead  # type: ignore[misc]

runpy.run_module("colonnade.serving", run_name="__main__")
