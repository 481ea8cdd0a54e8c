"""Which publisher a workspace's settings ask for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colonnade.brand.content.folder import REHEARSALS, FolderPublisher
from colonnade.brand.content.publishing import Publisher, PublishingFailed
from colonnade.brand.content.webhook import RehearsedWebhook, WebhookPublisher
from colonnade.ground.outgoing import OutgoingClient


class Publishers:
    """The publishers of one process; nothing in the settings means the folder, so there is always one."""

    def __init__(self, folder: Path, client: OutgoingClient) -> None:
        self._folder = FolderPublisher(folder)
        self._rehearsals = FolderPublisher(folder / REHEARSALS)
        self._client = client

    def choose(self, settings: Mapping[str, Any], *, rehearsal: bool = False) -> Publisher:
        """The publisher for a workspace's effective `publishing` settings; a rehearsal reaches nobody outside."""
        kind = settings.get("kind") or self._folder.kind
        if kind == FolderPublisher.kind:
            return self._rehearsals if rehearsal else self._folder
        url = settings.get("url")
        if kind != WebhookPublisher.kind:
            raise PublishingFailed("publishing.misconfigured", "The workspace's `publishing.kind` is not a known way.")
        if not isinstance(url, str) or not url:
            raise PublishingFailed(
                "publishing.misconfigured", "The workspace publishes by webhook, but has no `publishing.url`."
            )
        return RehearsedWebhook() if rehearsal else WebhookPublisher(url, self._client)
