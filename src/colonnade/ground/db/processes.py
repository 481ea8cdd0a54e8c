"""The tie between a process and its parent: a child must not outlive the one that answers for it.

Linux alone has such a tie; elsewhere these functions do nothing and the caller's own stop is all there is.
"""

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1

_prctl: Callable[..., int] | None = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)


def die_with_parent(parent: int | None = None, *, by: signal.Signals = signal.SIGTERM) -> None:
    """Let the kernel send this process a signal as soon as the thread that started it ends.

    Give the parent's process id when it is known: a parent that was gone before this call is then noticed.
    Call it after any change of user, which would undo the tie.
    """
    if _prctl is None:
        return
    _prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), by)
