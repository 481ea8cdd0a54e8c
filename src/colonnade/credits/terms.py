"""The terms of an agency: whose pool pays for which workspace, and by which calendar a cycle runs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from colonnade.credits.model import Cycle, Source, cycle_at, pool_id
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.db.database import Tx
from colonnade.tenancy import agencies, workspaces


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for these workspaces; one that is not in `sources` is not there, or not within reach."""

    zone: ZoneInfo
    sources: Mapping[str, Source]

    def source_of(self, workspace_id: str) -> Source:
        """Whose pool pays for the workspace; one out of reach is not found."""
        if workspace_id not in self.sources:
            raise NotFound("workspace")
        return self.sources[workspace_id]

    def pool_of(self, workspace_id: str) -> str:
        """The account of that pool."""
        return pool_id(self.source_of(workspace_id), workspace_id)

    def cycle(self, at: datetime) -> Cycle:
        """The cycle that the instant lies in."""
        return cycle_at(at, self.zone)

    def day(self, at: datetime) -> date:
        """The day of the agency's calendar."""
        return at.astimezone(self.zone).date()


async def terms(tx: Tx, workspace_ids: Collection[str] = ()) -> Terms:
    """The terms in force. The transaction's own reach decides which workspaces are told, so ask before widening."""
    agency = await agencies.in_force(tx)
    zone = ZoneInfo(agency.settings.get("timezone", "UTC"))
    settings = await workspaces.in_force(tx, sorted(workspace_ids), agency=agency) if workspace_ids else {}
    return Terms(zone, {name: Source(found.values["creditPool"]) for name, found in settings.items()})
