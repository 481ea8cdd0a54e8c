"""Approvals: what a run asks a person before it goes on, and what the person said.

A decision is a row; workers tell the run. Only the version that was approved may be acted on.
"""

from colonnade.runs.approvals.model import Approval, ApprovalFilter, ApprovalStatus, Comment, Question, Ruling
from colonnade.runs.approvals.service import (
    cancel_pending,
    comment,
    comments,
    decide,
    expire,
    find_pending,
    get,
    mark_delivered,
    page,
    pending_of,
    raise_,
)

__all__ = [
    "Approval",
    "ApprovalFilter",
    "ApprovalStatus",
    "Comment",
    "Question",
    "Ruling",
    "cancel_pending",
    "comment",
    "comments",
    "decide",
    "expire",
    "find_pending",
    "get",
    "mark_delivered",
    "page",
    "pending_of",
    "raise_",
]
