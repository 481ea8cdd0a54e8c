"""The audit log: one entry for every command, written in its transaction together with the event for the outbox.

Entries are append-only and carry a keyed digest of their own content; a worker links them into a chain whose end is
signed. The request log beside it tells every call. Nothing here starts a reaction.
"""

from colonnade.tenancy.audit.call_log import CallFilters, CallPlace, LoggedCall
from colonnade.tenancy.audit.calling import calls_after, page_calls
from colonnade.tenancy.audit.keeping import BATCH, erase_payloads, house
from colonnade.tenancy.audit.model import Announcement, Entry, Fact, Filters, known_address
from colonnade.tenancy.audit.offline import FileVerdict, check_lines
from colonnade.tenancy.audit.seals import Place, Verdict
from colonnade.tenancy.audit.service import export, page, record, record_all, sealed_after
from colonnade.tenancy.audit.verifying import verify

__all__ = [
    "BATCH",
    "Announcement",
    "CallFilters",
    "CallPlace",
    "Entry",
    "Fact",
    "FileVerdict",
    "Filters",
    "LoggedCall",
    "Place",
    "Verdict",
    "calls_after",
    "check_lines",
    "erase_payloads",
    "export",
    "house",
    "known_address",
    "page",
    "page_calls",
    "record",
    "record_all",
    "sealed_after",
    "verify",
]
