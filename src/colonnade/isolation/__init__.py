"""Isolation, proven from outside: every operation of a running installation tried with somebody else's ids.

It knows an installation by its document and by HTTP alone. The command `verify-isolation` and the house test share it.
"""

from colonnade.isolation.attempts import PLACES, Attempt, Outsider, Victim, attempts, untried, writes
from colonnade.isolation.belongings import Belongings, Harvest, Thing
from colonnade.isolation.catalogue import Described, catalogue
from colonnade.isolation.credentials import Credential, State, ended, nobody, told_by
from colonnade.isolation.nouns import ids_in, prefix_of
from colonnade.isolation.walking import Failure, Hidden, Walk, Walker

__all__ = [
    "PLACES",
    "Attempt",
    "Belongings",
    "Credential",
    "Described",
    "Failure",
    "Harvest",
    "Hidden",
    "Outsider",
    "State",
    "Thing",
    "Victim",
    "Walk",
    "Walker",
    "attempts",
    "catalogue",
    "ended",
    "ids_in",
    "nobody",
    "prefix_of",
    "told_by",
    "untried",
    "writes",
]
