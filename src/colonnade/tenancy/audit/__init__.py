"""The audit log: one entry for every command, written in its transaction together with the event for the outbox.

Entries are append-only and carry a keyed digest of their own content; nothing here starts a reaction.
"""

from colonnade.tenancy.audit.model import Entry, Fact, Filters
from colonnade.tenancy.audit.service import page, record, record_all

__all__ = ["Entry", "Fact", "Filters", "page", "record", "record_all"]
