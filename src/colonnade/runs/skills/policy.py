"""Which gates of a run wait for a person: the strictest of what workspace and agency say, the skill, and the run."""

from collections.abc import Mapping
from typing import Final, Literal

from colonnade.runs.skills.model import Skill

Word = Literal["auto", "require_approval"]

ASK: Final = "require_approval"
PASS: Final = "auto"  # noqa: S105 (a word of the policy)


def effective_policy(base: Mapping[str, str], skill: Skill, *, approval_required: bool) -> dict[str, str]:
    """What holds at each of the skill's gates; `base` is the workspace's effective approval policy.

    A skill and a run can only tighten. A gate of which the base says nothing waits for a person.
    """
    return {gate: _word(base.get(gate, ASK), approval_required or gate in skill.always_asks) for gate in skill.gates}


def _word(base: str, tightened: bool) -> str:
    return ASK if tightened or base != PASS else PASS


def gates_that_ask(policy: Mapping[str, str]) -> list[str]:
    """The gates at which the run will wait for a person."""
    return [gate for gate, word in policy.items() if word != PASS]
