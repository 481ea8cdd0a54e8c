"""The one way out: every HTTP call that Colonnade makes to an address somebody else chose.

What lives here: the rules about addresses, the operator's allow list, and a client that connects only to
what it checked. Not here: retries, signatures, what an answer means.
"""

from colonnade.ground.outgoing.addresses import Address, canonical, read_literal, refused_as
from colonnade.ground.outgoing.allow import AllowList
from colonnade.ground.outgoing.client import OutgoingClient
from colonnade.ground.outgoing.model import Answer, OutgoingLimits, OutgoingRefused, Reason
from colonnade.ground.outgoing.network import Lookup

__all__ = [
    "Address",
    "AllowList",
    "Answer",
    "Lookup",
    "OutgoingClient",
    "OutgoingLimits",
    "OutgoingRefused",
    "Reason",
    "canonical",
    "read_literal",
    "refused_as",
]
