"""Taking back what a workspace has published into the installation's own folder, before its posts are erased."""

from typing import Final

from colonnade.brand.content import store
from colonnade.brand.content.folder import FolderPublisher
from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Database

_AT_ONCE: Final = 500


async def remove_published(database: Database, caller: Caller, folder: FolderPublisher, workspace_id: str) -> None:
    """Remove the files of all posts of the workspace; what another workspace wrote at the same place stays.

    A post that came out elsewhere stays where it is: nobody here can take it back.
    """
    caller.require("content:read")
    after: str | None = None
    while True:
        async with database.transaction(caller.reach, read_only=True) as tx:
            found = await store.published_in_files(tx, workspace_id, after, _AT_ONCE)
        for _, url in found:
            await folder.remove(caller.agency_id, workspace_id, url)
        if len(found) < _AT_ONCE:
            return
        after = found[-1][0]
