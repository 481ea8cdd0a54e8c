"""Bulk actions: one wish for many workspaces, an item for each, and counts that are exact at every moment.

What the items do is done by the floors below: runs by `invocations`, changes by `workspaces`.
"""

from colonnade.runs.bulk.actions import KnownAction, config_of, offer, one_by_one
from colonnade.runs.bulk.model import (
    BulkAction,
    BulkStatus,
    Counts,
    Item,
    ItemState,
    Outcome,
    PlanLine,
    Selection,
    Wish,
)
from colonnade.runs.bulk.service import Slice, cancel, follow, get, items, page, plan, start

__all__ = [
    "BulkAction",
    "BulkStatus",
    "Counts",
    "Item",
    "ItemState",
    "KnownAction",
    "Outcome",
    "PlanLine",
    "Selection",
    "Slice",
    "Wish",
    "cancel",
    "config_of",
    "follow",
    "get",
    "items",
    "offer",
    "one_by_one",
    "page",
    "plan",
    "start",
]
