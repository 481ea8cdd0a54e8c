"""What is said when a limit stops a wish: the only maker of refusals for lack of credits. Pure."""

from typing import Any

from colonnade.credits.rules import Limit, Stopped
from colonnade.ground.core.amounts import to_number, to_text
from colonnade.ground.core.instants import format_instant
from colonnade.ground.core.refusals import Refused


def refusal(stopped: Stopped) -> Refused:
    """The refusal of a wish: which limit, from where, what it asks and leaves, and the way out."""
    is_cap = stopped.limit.kind == "cap"
    details = {
        "required": to_number(stopped.required),
        "available": to_number(stopped.available),
        "cap": to_number(stopped.limit.most) if stopped.limit.most is not None else None,
        "source": stopped.limit.source,
        "limit": told(stopped.limit),
        "limits": [told(one) for one in stopped.limits],
    }
    return Refused("credits.cap_exceeded" if is_cap else "credits.exhausted", _sentence(stopped), details=details)


def archived(workspace_id: str) -> Refused:
    """The refusal of whatever would take credits for a workspace that is archived."""
    sentence = "The workspace is archived: it can be read, not written. Restore it first."
    return Refused("workspace.archived", sentence, details={"workspaceId": workspace_id})


def told(limit: Limit) -> dict[str, Any]:
    """The limit in the names of the wire.

    How the agency's credits are used is not for every workspace to know, so that is left to `explain`, which knows who
    asks.
    """
    is_open = limit.source != "agency"
    return {
        "kind": limit.kind,
        "id": limit.id,
        "source": limit.source,
        "workspaceId": limit.workspace_id,
        "keyId": limit.key_id,
        "feature": limit.feature,
        "cap": None if limit.most is None else to_number(limit.most),
        "used": to_number(limit.used) if is_open else None,
        "held": to_number(limit.taken - limit.used) if is_open else None,
        "available": to_number(limit.available),
        "cycleEndsAt": format_instant(limit.ends_at),
    }


def _sentence(stopped: Stopped) -> str:
    limit, needs = stopped.limit, f"This needs {to_text(stopped.required)} credits"
    if limit.kind == "cap":
        what = f" for `{limit.feature}`" if limit.feature is not None else ""
        return (
            f"{needs}{what}, and the {limit.source}'s cap of {to_text(limit.most or 0)} a cycle leaves "
            f"{to_text(limit.available)}. {way_out(limit)}"
        )
    return f"{needs}, and the {limit.source}'s pool has {to_text(limit.available)}. {way_out(limit)}"


def way_out(limit: Limit) -> str:
    """What somebody may do about the limit."""
    if limit.kind == "cap":
        return f"Raise the cap, or wait for the next cycle, which begins at {format_instant(limit.ends_at)}."
    if limit.kind == "borrow":
        return "Raise the workspace's `borrowLimit`, or grant credits to the agency's pool."
    if limit.source == "workspace":
        return "Grant or transfer credits to the workspace or raise its `borrowLimit`, then try again."
    return "Grant or transfer credits, then try again."
