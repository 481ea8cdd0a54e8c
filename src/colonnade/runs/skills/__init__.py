"""Skills: what the agent can do for a brand, each a durable function with an input, gates and a price.

A skill is written against `RunContext` alone. Not here: how a run is started, carried out, paid and shown.
"""

from colonnade.runs.skills.catalogue import SKILLS, find
from colonnade.runs.skills.model import (
    Article,
    Brand,
    Decision,
    JsonObject,
    PublishedPost,
    RunContext,
    Skill,
    StepKind,
    StoppedByDecision,
)
from colonnade.runs.skills.policy import effective_policy, gates_that_ask

__all__ = [
    "SKILLS",
    "Article",
    "Brand",
    "Decision",
    "JsonObject",
    "PublishedPost",
    "RunContext",
    "Skill",
    "StepKind",
    "StoppedByDecision",
    "effective_policy",
    "find",
    "gates_that_ask",
]
