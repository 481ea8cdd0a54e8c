"""What is counted: under which names, and how the counts change when a hold is charged or let go of. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from colonnade.credits.model import AGENCY_POOL_ID, Hold
from colonnade.ground.core.amounts import MilliCredits

AGENCY: Final = "agency"
"""The subject under which all that an agency takes is counted."""


@dataclass(slots=True)
class Count:
    """A change of one tally; the workspace is that of the subject, if it is one's."""

    cycle: date
    subject: str
    workspace_id: str | None
    taken: int
    used: int


def subjects(workspace_id: str, features: Iterable[str], key_id: str | None) -> list[str]:
    """Everything under which work in the workspace is counted, besides the pools that pay for it."""
    holders = [AGENCY, workspace_id, *([] if key_id is None else [key_id])]
    named = list(features)
    return [*holders, *(f"{holder}#{feature}" for holder in holders for feature in named)]


def borrow_subject(workspace_id: str) -> str:
    """Under which name it is counted what a workspace borrows of the agency's pool."""
    return f"borrow:{workspace_id}"


def holders(workspace_id: str, key_id: str | None) -> Iterator[tuple[str, str | None]]:
    """Who is counted for work in the workspace, each with the workspace whose subject it is, if it is one's."""
    yield AGENCY, None
    yield workspace_id, workspace_id
    if key_id is not None:
        yield key_id, None


def settling(hold: Hold, captured: Mapping[str, MilliCredits], released: MilliCredits) -> Iterator[Count]:
    """How the tallies change when so much of an open hold is charged, by feature, and so much of it goes back.

    It counts in the hold's cycle, and for caps under the features that the hold was asked for: what was used of one
    beyond its part takes the room that another part leaves. So a hold that was allowed never passes a cap later.
    """
    total = sum(captured.values())
    for subject, of_workspace in holders(hold.workspace_id, hold.key_id):
        yield Count(hold.cycle, subject, of_workspace, -released, total)
        for feature, part, share in _shares(hold, captured, released):
            yield Count(hold.cycle, f"{subject}#{feature}", of_workspace, part, share)
    yield from _returning(hold, total, released)


def _shares(hold: Hold, captured: Mapping[str, MilliCredits], released: MilliCredits) -> Iterator[tuple[str, int, int]]:
    """For each feature that the hold was asked for, how what is taken and what is used change."""
    if hold.parts is None:
        yield hold.feature, -released, sum(captured.values())
        return
    inside = {feature: min(captured.get(feature, 0), part) for feature, part in hold.parts.items()}
    beyond = sum(captured.values()) - sum(inside.values())
    for feature, part in hold.parts.items():
        more = min(beyond, part - inside[feature])
        beyond -= more
        share = inside[feature] + more
        yield feature, share - part, share


def _returning(hold: Hold, captured: int, released: int) -> Iterator[Count]:
    name, own = hold.workspace_id, hold.amount - hold.borrowed
    own_used = min(hold.captured + captured, own) - min(hold.captured, own)
    back = returned(hold, MilliCredits(released))
    of_workspace = None if hold.pool_id == AGENCY_POOL_ID else name
    yield Count(hold.cycle, hold.pool_id, of_workspace, back - released, own_used)
    if hold.borrowed:
        yield Count(hold.cycle, AGENCY_POOL_ID, None, -back, captured - own_used)
        yield Count(hold.cycle, borrow_subject(name), name, -back, captured - own_used)


def returned(hold: Hold, released: MilliCredits) -> MilliCredits:
    """What of a released rest was borrowed and goes back to the agency's pool: what was drawn last returns first."""
    return MilliCredits(min(released, hold.borrowed))
