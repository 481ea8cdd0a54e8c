"""Bringing a finished post to where its workspace wants it: what is handed over, what comes back, who does it.

Publishers speak to the outside, so they are called between transactions, never inside one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from colonnade.brand.content.model import Post
from colonnade.brand.content.rendering import to_html

FailureReason = Literal[
    "publishing.misconfigured",
    "publishing.url_refused",
    "publishing.receiver_refused",
    "publishing.unreachable",
    "publishing.folder_failed",
]


@dataclass(frozen=True, slots=True)
class Publication:
    """One post as it is to come out. The idempotency key is the same whenever the same step publishes again."""

    post_id: str
    workspace_id: str
    agency_id: str
    workspace_slug: str
    brand_name: str
    title: str
    slug: str
    meta_description: str
    outline: tuple[str, ...]
    body_markdown: str
    body_html: str
    model: str | None
    revision: int
    idempotency_key: str
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Published:
    """Where the post can be seen now, and what the publisher was told (never a secret)."""

    url: str
    receipt: Mapping[str, Any] = field(default_factory=dict)


class PublishingFailed(Exception):
    """The post did not come out. A temporary failure is worth another try; the sentence may be shown to the tenant."""

    def __init__(self, reason: FailureReason, sentence: str, *, is_temporary: bool = False) -> None:
        super().__init__(reason, sentence)
        self.reason: FailureReason = reason
        self.sentence = sentence
        self.is_temporary = is_temporary


class Publisher(Protocol):
    """One way of bringing posts out."""

    @property
    def kind(self) -> str:
        """Its name in the workspace's settings."""
        ...

    async def publish(self, publication: Publication) -> Published:
        """Bring it out, or raise `PublishingFailed`; the same idempotency key again brings it out only once."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """The workspace that a post comes out for."""

    agency_id: str
    slug: str
    brand_name: str
    language: str = "en"


def publication_of(post: Post, place: Place, *, idempotency_key: str) -> Publication:
    """What a publisher gets of this post."""
    text = post.writing
    return Publication(
        post_id=post.id,
        workspace_id=post.workspace_id,
        agency_id=place.agency_id,
        workspace_slug=place.slug,
        brand_name=place.brand_name,
        title=text.title,
        slug=text.slug,
        meta_description=text.meta_description,
        outline=text.outline,
        body_markdown=text.body,
        body_html=to_html(text.body, title=text.title),
        model=text.model,
        revision=post.revision,
        idempotency_key=idempotency_key,
        language=place.language,
    )
