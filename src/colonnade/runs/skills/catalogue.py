"""The closed list of skills."""

from typing import Final

from colonnade.ground.core.refusals import FieldError, Refused
from colonnade.runs.skills.draft_post import DRAFT_POST
from colonnade.runs.skills.model import Skill

SKILLS: Final[dict[str, Skill]] = {skill.slug: skill for skill in (DRAFT_POST,)}
"""Every skill of this installation by its slug."""


def find(slug: str, *, pointer: str = "/skill") -> Skill:
    """The skill of this name; a refusal names the known ones."""
    skill = SKILLS.get(slug)
    if skill is None:
        known = ", ".join(SKILLS)
        raise Refused(
            "runs.skill_unknown",
            f"There is no such skill; these are known: {known}.",
            errors=[FieldError(pointer, f"must be one of {known}")],
            details={"skills": list(SKILLS)},
        )
    return skill
