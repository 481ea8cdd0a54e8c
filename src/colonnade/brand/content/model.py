"""The nouns of content: posts, what is written in them, their revisions, and the moves between their states. No I/O."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal

from colonnade.ground.core.checking import Check, Findings, escaped, list_of, shape, text
from colonnade.ground.core.merging import merge
from colonnade.ground.core.refusals import BadField, Refused

TITLE_MOST: Final = 300
SLUG_MOST: Final = 80
OUTLINE_MOST: Final = 100
DESCRIPTION_MOST: Final = 500
LABEL_MOST: Final = 200
BODY_MOST: Final = 500_000

_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})
_NOT_TEXT: Final = frozenset({"Cc", "Cs"})


class PostStatus(Enum):
    """Where a post stands between being written and being public."""

    DRAFT = "DRAFT"
    IN_REVIEW = "IN_REVIEW"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    PUBLISHED = "PUBLISHED"


@dataclass(frozen=True, slots=True)
class Move:
    """One allowed step: from any of these states to that one."""

    name: str
    sources: frozenset[PostStatus]
    target: PostStatus


def _move(name: str, target: PostStatus, *sources: PostStatus) -> Move:
    return Move(name, frozenset(sources), target)


# An edit always leads back to DRAFT: an approval is for the text that was shown, not for a later one.
MOVES: Final = {
    move.name: move
    for move in (
        _move("edit", PostStatus.DRAFT, PostStatus.DRAFT, PostStatus.REJECTED, PostStatus.APPROVED),
        _move("submit", PostStatus.IN_REVIEW, PostStatus.DRAFT),
        _move("withdraw", PostStatus.DRAFT, PostStatus.IN_REVIEW),
        _move("approve", PostStatus.APPROVED, PostStatus.IN_REVIEW),
        _move("reject", PostStatus.REJECTED, PostStatus.IN_REVIEW),
        _move("publish", PostStatus.PUBLISHED, PostStatus.DRAFT, PostStatus.APPROVED),
    )
}
"""Every way a post may change its state; there is no other."""

DELETABLE: Final = frozenset({PostStatus.DRAFT, PostStatus.REJECTED, PostStatus.APPROVED})

RevisionReason = Literal["written", "edited", "approved_with_edits"]


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants written into a new post; without a slug one is made from the title."""

    title: str
    body: str
    outline: Sequence[str] = ()
    meta_description: str = ""
    slug: str | None = None
    model: str | None = None
    keyword: str | None = None
    topic: str | None = None


@dataclass(frozen=True, slots=True)
class Writing:
    """The checked text of a post, as each revision keeps it, and what it is about."""

    title: str
    slug: str
    outline: tuple[str, ...]
    body: str
    meta_description: str
    model: str | None
    keyword: str | None
    topic: str | None


@dataclass(frozen=True, slots=True)
class Post:
    """A post of one workspace; `version` counts every change and is its ETag, `revision` counts its texts."""

    id: str
    workspace_id: str
    run_id: str | None
    writing: Writing
    status: PostStatus
    revision: int
    version: int
    published_url: str | None
    published_at: datetime | None
    published_revision: int | None
    rejected_reason: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def title(self) -> str:
        """The title."""
        return self.writing.title

    @property
    def slug(self) -> str:
        """The last part of its address, unique among the workspace's posts."""
        return self.writing.slug


@dataclass(frozen=True, slots=True)
class Revision:
    """One text that a post has had; never changed."""

    id: str
    post_id: str
    workspace_id: str
    number: int
    title: str
    slug: str
    outline: tuple[str, ...]
    body: str
    meta_description: str
    model: str | None
    author: str
    reason: RevisionReason
    at: datetime


@dataclass(frozen=True, slots=True)
class PostFilter:
    """Which posts a list shows; nothing set shows all within reach."""

    workspace_id: str | None = None
    statuses: tuple[PostStatus, ...] = ()
    q: str | None = None
    run_id: str | None = None


EDITABLE: Final = ("title", "slug", "outline", "body", "metaDescription")
"""What an approver may change while approving."""

PATCHABLE: Final = (*EDITABLE, "model", "keyword", "topic")
"""What may be changed in a post at all."""


def slugify(words_of: str) -> str:
    """A slug from any text: transliterated, lower case, words joined by hyphens; `post` when nothing is left."""
    plain = unicodedata.normalize("NFKD", words_of.lower().translate(_LETTERS)).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", plain.replace("'", ""))
    slug = "-".join(words)[: SLUG_MOST + 1]
    if len(slug) > SLUG_MOST:
        slug = slug.rpartition("-")[0] or slug[:SLUG_MOST]
    return slug.strip("-") or "post"


def is_slug(word: str) -> bool:
    """Whether it is words of lower-case letters and digits joined by single hyphens, and no longer than a slug."""
    return len(word) <= SLUG_MOST and _SLUG.fullmatch(word) is not None


def free_slug(wanted: str, taken: frozenset[str]) -> str:
    """The slug itself, or the first of `-2`, `-3`, … that nobody has."""
    number, slug = 1, wanted
    while slug in taken:
        number += 1
        suffix = f"-{number}"
        slug = wanted[: SLUG_MOST - len(suffix)].rstrip("-") + suffix
    return slug


def to_document(writing: Writing) -> dict[str, Any]:
    """The text as callers read and patch it."""
    return {
        "title": writing.title,
        "slug": writing.slug,
        "outline": list(writing.outline),
        "body": writing.body,
        "metaDescription": writing.meta_description,
        "model": writing.model,
        "keyword": writing.keyword,
        "topic": writing.topic,
    }


def written(draft: Draft) -> Writing:
    """The draft, cleaned and checked; refuses with every bad field at once."""
    findings = Findings()
    writing = _read(
        {
            "title": draft.title,
            "slug": draft.slug,
            "outline": list(draft.outline),
            "body": draft.body,
            "metaDescription": draft.meta_description,
            "model": draft.model,
            "keyword": draft.keyword,
            "topic": draft.topic,
        },
        findings,
    )
    findings.refuse_if_any()
    return writing


def edited(writing: Writing, patch: Any, fields: Sequence[str]) -> Writing:
    """The text with a JSON merge patch (RFC 7396) applied to these fields; refuses with every bad field at once.

    A null takes an optional field away; a slug that is taken away is made from the title again.
    """
    if not isinstance(patch, Mapping):
        raise BadField("", "must be an object of the fields to change")
    findings = Findings()
    for name in patch:
        if name not in fields:
            findings.add(f"/{escaped(name)}", f"cannot be changed here; these can: {', '.join(fields)}")
    allowed = {name: value for name, value in patch.items() if name in fields}
    result = _read(merge(to_document(writing), allowed), findings)
    findings.refuse_if_any()
    return result


def one_line(raw: str) -> str:
    """The text on one line: any white space becomes one blank, control characters go."""
    return " ".join(_clean(re.sub(r"\s+", " ", raw)).split())


def _clean(raw: str) -> str:
    return "".join(char for char in raw if char in "\n\t" or unicodedata.category(char) not in _NOT_TEXT)


def line(least: int, most: int) -> Check:
    """Text of this length on one line."""

    def check(value: Any, pointer: str, findings: Findings) -> Any:
        if not isinstance(value, str):
            findings.add(pointer, "must be text")
            return ""
        kept = one_line(value)
        if not least <= len(kept) <= most:
            findings.add(pointer, f"must have {least} to {most} characters")
        return kept

    return check


def _markdown(value: Any, pointer: str, findings: Findings) -> Any:
    if not isinstance(value, str):
        findings.add(pointer, "must be text (Markdown)")
        return ""
    kept = _clean(value.replace("\r\n", "\n").replace("\r", "\n"))
    if len(kept) > BODY_MOST:
        findings.add(pointer, f"must have at most {BODY_MOST} characters")
    return kept


DOCUMENT: Final = shape(
    {
        "title": line(1, TITLE_MOST),
        "slug": text(1, SLUG_MOST, pattern=_SLUG.pattern, says="must be words of a-z and 0-9 joined by hyphens"),
        "outline": list_of(line(1, TITLE_MOST), OUTLINE_MOST),
        "body": _markdown,
        "metaDescription": line(0, DESCRIPTION_MOST),
        "model": line(0, LABEL_MOST),
        "keyword": line(0, LABEL_MOST),
        "topic": line(0, LABEL_MOST),
    },
    required=("title", "body"),
)
"""The text of a post as it is sent."""


def _read(document: Mapping[str, Any], findings: Findings) -> Writing:
    kept = DOCUMENT(dict(document), "", findings)
    title = kept.get("title", "")
    return Writing(
        title=title,
        slug=kept.get("slug") or slugify(title),
        outline=tuple(kept.get("outline", ())),
        body=kept.get("body", ""),
        meta_description=kept.get("metaDescription", ""),
        model=kept.get("model") or None,
        keyword=kept.get("keyword") or None,
        topic=kept.get("topic") or None,
    )


def ensure_move(post: Post, name: str) -> Move:
    """The move, if the post's state allows it; the refusal tells the state and the way out."""
    move = MOVES[name]
    if post.status not in move.sources:
        raise refusal_of(post, name)
    return move


def refusal_of(post: Post, verb: str) -> Refused:
    """Why the post's state does not allow the verb."""
    details = {"postId": post.id, "status": post.status.value}
    if post.status is PostStatus.PUBLISHED:
        return Refused("posts.published", "The post is published and keeps its text; write a new one.", details=details)
    if post.status is PostStatus.IN_REVIEW and verb in {"edit", "delete"}:
        sentence = "The post waits for an approval; decide that first (edits can be part of the decision)."
        return Refused("posts.in_review", sentence, details=details)
    sentence = (
        f"The post is {post.status.value}, and from there it cannot {verb}. Read it again to see where it stands."
    )
    return Refused("posts.wrong_state", sentence, details=details)


def with_slug(writing: Writing, slug: str) -> Writing:
    """The same text under another slug."""
    return replace(writing, slug=slug)


def preview(post: Post) -> dict[str, Any]:
    """What an approver sees and may edit: the text as it would be published, and where it belongs."""
    document = to_document(post.writing)
    return {
        "postId": post.id,
        "workspaceId": post.workspace_id,
        "revision": post.revision,
        **{name: document[name] for name in (*EDITABLE, "model", "keyword", "topic")},
    }
