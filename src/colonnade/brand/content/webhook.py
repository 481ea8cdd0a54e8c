"""The publisher that hands a post to the agency's own system: one POST in the manner of Standard Webhooks.

The receiver sees a repeat only after a kill or a failed try, with the same id, key and body.
"""

import hashlib
import json
import time
from typing import Any, Final, Literal
from urllib.parse import urljoin, urlsplit, urlunsplit

from colonnade.brand.content.publishing import Publication, Published, PublishingFailed
from colonnade.ground.outgoing import Answer, OutgoingClient, OutgoingRefused

URL_MOST: Final = 2048
EVENT: Final = "post.published"
_WORTH_ANOTHER_TRY: Final = frozenset({408, 425, 429})
_BY_OUR_RULES: Final = frozenset({"address_refused", "bad_url"})
_PASSING: Final = frozenset({"timeout", "connection_failed", "lookup_failed", "protocol_error"})


class WebhookPublisher:
    """Posts to one URL of a workspace's settings, through the client that checks every address."""

    kind: Final = "webhook"

    def __init__(self, url: str, client: OutgoingClient) -> None:
        self._url = url
        self._client = client

    async def publish(self, publication: Publication) -> Published:
        """Hand the post over; 2xx means published, at the address that the receiver names or else at its own."""
        message_id = _message_id(publication)
        body = json.dumps(message_of(publication), ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "content-type": "application/json",
            "idempotency-key": publication.idempotency_key,
            "webhook-id": message_id,
            "webhook-timestamp": str(int(time.time())),
        }
        try:
            answer = await self._client.request("POST", self._url, headers=headers, body=body)
        except OutgoingRefused as refused:
            raise _unreached(refused) from refused
        if not 200 <= answer.status < 300:
            raise _refusal(answer)
        return Published(_address(answer, self._url), {"status": answer.status, "messageId": message_id})


class RehearsedWebhook:
    """Stands in for the receiver where nothing may leave the house: takes every post and sends it nowhere."""

    kind: Final = "webhook"

    async def publish(self, publication: Publication) -> Published:
        """Say where the post would be, in a way that nobody can mistake for an address."""
        url = f"test://{publication.workspace_slug}/{publication.slug}"
        return Published(url, {"rehearsed": True, "messageId": _message_id(publication)})


def message_of(publication: Publication) -> dict[str, Any]:
    """The body: the same for the same publication, however often it is sent."""
    return {
        "event": EVENT,
        "id": _message_id(publication),
        "idempotencyKey": publication.idempotency_key,
        "workspaceId": publication.workspace_id,
        "post": {
            "id": publication.post_id,
            "title": publication.title,
            "slug": publication.slug,
            "outline": list(publication.outline),
            "body": publication.body_markdown,
            "bodyHtml": publication.body_html,
            "metaDescription": publication.meta_description,
            "model": publication.model,
            "revision": publication.revision,
            "brandName": publication.brand_name,
            "language": publication.language,
        },
    }


def _message_id(publication: Publication) -> str:
    digest = hashlib.sha256(f"{publication.post_id} {publication.idempotency_key}".encode()).hexdigest()
    return f"msg_{digest[:32]}"


def _unreached(refused: OutgoingRefused) -> PublishingFailed:
    reason: Literal["publishing.url_refused", "publishing.unreachable"] = (
        "publishing.url_refused" if refused.reason in _BY_OUR_RULES else "publishing.unreachable"
    )
    return PublishingFailed(reason, refused.sentence, is_temporary=refused.reason in _PASSING)


def _refusal(answer: Answer) -> PublishingFailed:
    if answer.is_redirect:
        sentence = f"The receiver answered with a redirect ({answer.status}), which is not followed; store its new URL."
    else:
        sentence = f"The receiver answered with {answer.status}."
    is_temporary = answer.status >= 500 or answer.status in _WORTH_ANOTHER_TRY
    return PublishingFailed("publishing.receiver_refused", sentence, is_temporary=is_temporary)


def _address(answer: Answer, url: str) -> str:
    location = answer.headers.get("location")
    candidates = [_named(answer.body), urljoin(url, location) if location else None]
    return next((candidate for candidate in candidates if candidate and _is_public(candidate)), _bare(url))


def _named(body: bytes) -> str | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    url = value.get("url") if isinstance(value, dict) else None
    return url if isinstance(url, str) else None


def _is_public(url: str) -> bool:
    if len(url) > URL_MOST or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def _bare(url: str) -> str:
    # A webhook's user name, password and query may be secrets; a published address is shown to everybody.
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
