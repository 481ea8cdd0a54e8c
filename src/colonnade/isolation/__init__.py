"""Isolation, proven from outside: every operation of a running installation tried with somebody else's ids.

It knows an installation by its document and by HTTP alone. The command `verify-isolation` and the house test share it.
"""

from colonnade.isolation.asking import Answered, Silence, Wanted, ask
from colonnade.isolation.attempts import PLACES, Attempt, Outsider, Victim, attempts, untried, writes
from colonnade.isolation.belongings import Belongings, Harvest, Thing
from colonnade.isolation.catalogue import Described, catalogue
from colonnade.isolation.credentials import Credential, State, ended, nobody, told_by
from colonnade.isolation.furnishing import CannotFurnish, Furnishing
from colonnade.isolation.nouns import ids_in, prefix_of
from colonnade.isolation.page import Branding, page
from colonnade.isolation.proving import Proof, Trial
from colonnade.isolation.report import Record, Side, Subject
from colonnade.isolation.signing import KEY_PATH, Checked, canonical, check, fingerprint, mount, public_key, signed
from colonnade.isolation.walking import Failure, Hidden, Walk, Walker

__all__ = [
    "KEY_PATH",
    "PLACES",
    "Answered",
    "Attempt",
    "Belongings",
    "Branding",
    "CannotFurnish",
    "Checked",
    "Credential",
    "Described",
    "Failure",
    "Furnishing",
    "Harvest",
    "Hidden",
    "Outsider",
    "Proof",
    "Record",
    "Side",
    "Silence",
    "State",
    "Subject",
    "Thing",
    "Trial",
    "Victim",
    "Walk",
    "Walker",
    "Wanted",
    "ask",
    "attempts",
    "canonical",
    "catalogue",
    "check",
    "ended",
    "fingerprint",
    "ids_in",
    "mount",
    "nobody",
    "page",
    "prefix_of",
    "public_key",
    "signed",
    "told_by",
    "untried",
    "writes",
]
