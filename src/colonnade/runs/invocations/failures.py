"""Why a run fails, in words that may be kept and shown; whatever else goes wrong is told as a mistake of ours."""

import contextlib
from collections.abc import Iterator
from typing import Final

from colonnade.brand.content import PublishingFailed
from colonnade.ground.core.reasons import REASONS
from colonnade.ground.core.refusals import Kind, Refused
from colonnade.integrations import CannotOpen
from colonnade.runs.engine.model import Failed, GiveUp, TooManyLostLeases, TryAgain
from colonnade.runs.skills import JsonObject
from colonnade.runs.writing import WritingFailed

_OURS: Final = "Something went wrong on our side, also after several tries."


class RunFailed(GiveUp):
    """Ends the run as failed, for trying again would not help."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class RunStumbled(TryAgain):
    """Ends this try; another one follows unless there were enough."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turn refusals and failures of what a run calls into ends of the run, with their own reason and sentence."""
    try:
        yield
    except (WritingFailed, PublishingFailed) as failure:
        raise _as_end(failure.reason, failure.sentence, is_temporary=failure.is_temporary) from failure
    except CannotOpen as failure:
        sentence = "The stored own key for the model's provider cannot be opened; store it again."
        raise RunFailed("provider_keys.unreadable", sentence) from failure
    except Refused as refusal:
        is_temporary = refusal.kind is Kind.UNAVAILABLE
        raise _as_end(refusal.reason, refusal.sentence, is_temporary=is_temporary) from refusal


def _as_end(reason: str, sentence: str, *, is_temporary: bool) -> RunFailed | RunStumbled:
    return RunStumbled(reason, sentence) if is_temporary else RunFailed(reason, sentence)


def error_of(failed: Failed, step: str | None) -> JsonObject:
    """The run's `error`: a reason of the closed list, a sentence, and the step in which it happened."""
    reason, message = _reason_and_message(failed.error)
    return {"code": REASONS[reason].kind, "reason": reason, "message": message, "step": step}


def _reason_and_message(error: Exception) -> tuple[str, str]:
    if isinstance(error, RunFailed | RunStumbled):
        return error.reason, str(error)
    if isinstance(error, TooManyLostLeases):
        return "runs.worker_lost", "Every worker that took this run died before it could end it."
    return "internal.error", _OURS
