"""The terms of an agency: whose pool pays for which workspace, and by which calendar a cycle runs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from colonnade.credits.cycles import CycleRule, aligned
from colonnade.credits.model import Cycle, Source, pool_id
from colonnade.credits.rules import Standing
from colonnade.credits.standing import Wanted, open_standing
from colonnade.ground.core.refusals import NotFound
from colonnade.ground.db.database import Tx


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for these workspaces; one that is not in `sources` is not there, or not within reach."""

    zone: ZoneInfo
    sources: Mapping[str, Source]
    at: datetime
    current: Cycle
    rule: CycleRule

    @classmethod
    def of(cls, standing: Standing) -> "Terms":
        """The terms as they stand."""
        sources = {name: one.source for name, one in standing.terms.items()}
        return cls(standing.zone, sources, standing.at, standing.cycle, standing.rule)

    def source_of(self, workspace_id: str) -> Source:
        """Whose pool pays for the workspace; one out of reach is not found."""
        if workspace_id not in self.sources:
            raise NotFound("workspace")
        return self.sources[workspace_id]

    def pool_of(self, workspace_id: str) -> str:
        """The account of that pool."""
        return pool_id(self.source_of(workspace_id), workspace_id)

    def cycle(self, at: datetime) -> Cycle:
        """The cycle that the instant lies in: the current one, or what the rule of now says of another time."""
        is_current = self.current.starts_at <= at < self.current.ends_at
        return self.current if is_current else aligned(self.rule, self.zone, at)

    def day(self, at: datetime) -> date:
        """The day of the agency's calendar."""
        return at.astimezone(self.zone).date()


async def terms(tx: Tx, workspace_ids: Collection[str] = ()) -> Terms:
    """The terms in force. The transaction's own reach decides which workspaces are told, so ask before widening."""
    return Terms.of(await open_standing(tx, Wanted(workspaces=workspace_ids), locking=False))
