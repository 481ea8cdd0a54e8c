"""Posts: what is written for a brand, every text it has had, and its way to being public.

Programs and people enter by the verbs below; a publisher brings a finished post to where the workspace wants it.
Not here: approvals themselves and the runs that write (they lie above and call these verbs).
"""

from colonnade.brand.content.folder import FolderPublisher
from colonnade.brand.content.model import (
    DOCUMENT,
    EDITABLE,
    Draft,
    Post,
    PostFilter,
    PostStatus,
    Revision,
    Writing,
    edited,
    preview,
    slugify,
)
from colonnade.brand.content.publishers import Publishers
from colonnade.brand.content.publishing import (
    Place,
    Publication,
    Published,
    Publisher,
    PublishingFailed,
    publication_of,
)
from colonnade.brand.content.purging import remove_published
from colonnade.brand.content.service import (
    PostPage,
    Turn,
    approve,
    delete,
    draft,
    get,
    mark_published,
    page,
    reject,
    revisions,
    submit,
    update,
    withdraw,
)
from colonnade.brand.content.webhook import WebhookPublisher

__all__ = [
    "DOCUMENT",
    "EDITABLE",
    "Draft",
    "FolderPublisher",
    "Place",
    "Post",
    "PostFilter",
    "PostPage",
    "PostStatus",
    "Publication",
    "Published",
    "Publisher",
    "Publishers",
    "PublishingFailed",
    "Revision",
    "Turn",
    "WebhookPublisher",
    "Writing",
    "approve",
    "delete",
    "draft",
    "edited",
    "get",
    "mark_published",
    "page",
    "preview",
    "publication_of",
    "reject",
    "remove_published",
    "revisions",
    "slugify",
    "submit",
    "update",
    "withdraw",
]
