"""The bulk action `template.deploy`: one version of a template in many workspaces, each failing alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import Field

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import BadField, NotFound
from colonnade.ground.db.database import Tx
from colonnade.ground.web import Body
from colonnade.outbound.templates.deploying import Deployed, Order, Shared, deploy_one, shared_of
from colonnade.outbound.templates.model import Mode
from colonnade.runs import bulk
from colonnade.runs.bulk import KnownAction, Outcome
from colonnade.tenancy.workspaces import Workspace

NAME: Final = "template.deploy"


class DeployConfig(Body):
    """The config of `template.deploy`."""

    template_id: str = Field(max_length=64)
    version: int | None = Field(None, ge=1, le=2**31 - 1, strict=True, description="Absent: the latest.")
    on_conflict: Literal["keep", "overwrite"] = "keep"
    mode: Mode | None = None

    def order(self) -> Order:
        """What is wanted."""
        return Order(self.template_id, self.version, self.on_conflict == "overwrite", self.mode)


@dataclass(frozen=True, slots=True)
class DeployTemplate:
    """Deploy the same version in each workspace."""

    order: Order

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "DeployTemplate":
        """The action behind its config."""
        return cls(bulk.config_of(DeployConfig, config).order())

    async def apply(self, tx: Tx, caller: Caller, _bulk_id: str, chosen: Sequence[Workspace]) -> list[Outcome]:
        """The template is read once; a workspace that refuses fails alone."""
        shared = await self._shared(tx, caller)

        async def deploy(workspace: Workspace) -> Outcome:
            done = await deploy_one(tx, caller, workspace.id, shared, self.order)
            return Outcome(workspace.id, "SUCCEEDED", result=_told(done))

        outcomes, _ = await bulk.one_by_one(tx, chosen, deploy)
        return outcomes

    async def _shared(self, tx: Tx, caller: Caller) -> Shared:
        try:
            return await shared_of(tx, caller, self.order, at="/config")
        except NotFound as error:
            raise BadField("/config/templateId", "is no template of this agency") from error

    async def gates(self, _tx: Tx, _chosen: Sequence[Workspace]) -> Mapping[str, Sequence[str]]:
        """A deployment waits for nobody."""
        return {}


def _told(done: Deployed) -> dict[str, Any]:
    return {"version": done.version, "mode": done.mode, **done.names}


ACTION: Final = KnownAction(("templates:write", "workspaces:write"), DeployTemplate.read)
"""How bulk actions know it."""
