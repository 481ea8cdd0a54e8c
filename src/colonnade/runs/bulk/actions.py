"""What can be done in many workspaces at once, each action with its own config: a closed list."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError

from colonnade import integrations
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import BadFields, FieldError, Refused
from colonnade.ground.db.database import Tx
from colonnade.ground.web import Body, Flag
from colonnade.ground.web.problems import from_validation
from colonnade.runs import invocations, skills
from colonnade.runs.bulk.model import Outcome, error_of
from colonnade.runs.invocations import Run, StartRequest
from colonnade.runs.skills import JsonObject, Skill
from colonnade.tenancy import workspaces
from colonnade.tenancy.workspaces import Workspace

_OF_THE_CALLER: Final = frozenset({"keys.scope_missing", "keys.wrong_kind"})
"""Refusals that are the same in every workspace, so they refuse the whole."""


class Action(Protocol):
    """One thing to do in each of many workspaces."""

    async def apply(self, tx: Tx, caller: Caller, bulk_id: str, chosen: Sequence[Workspace], /) -> list[Outcome]:
        """Do or begin it in each of these open workspaces; each fails alone, in the given order."""
        ...

    async def gates(self, tx: Tx, chosen: Sequence[Workspace], /) -> Mapping[str, Sequence[str]]:
        """The gates at which each workspace's run would wait for a person."""
        ...


class ApprovalWish(Body):
    """What is asked of approvals beyond the policy."""

    required: Flag = Field(False, description="Wait for a person at every gate; the policy can only be tightened.")


class InvokeConfig(Body):
    """The config of `agent.invoke`: one run of a skill in each workspace."""

    skill: str = Field(min_length=1, max_length=100)
    input: dict[str, Any] = Field(default_factory=dict, description="As the skill's `inputSchema` says.")
    approval: ApprovalWish | None = None


Config = TypeVar("Config", bound=Body)


def config_of(shape: type[Config], config: Mapping[str, Any]) -> Config:
    """An action's config in its shape; every bad field is named under `/config`."""
    try:
        return shape.model_validate(config)
    except ValidationError as error:
        found = [{**one, "loc": ("body", "config", *one["loc"])} for one in error.errors()]
        raise from_validation(RequestValidationError(found, body={"config": config})) from error


Doing = Callable[[Workspace], Awaitable[Outcome]]


async def one_by_one(tx: Tx, chosen: Sequence[Workspace], do: Doing) -> tuple[list[Outcome], dict[str, Refused]]:
    """Do it in each workspace in a part of its own, so that a refusal fails alone; and the refusals themselves.

    What refuses the caller would refuse in every workspace, so it refuses the whole.
    """
    outcomes: list[Outcome] = []
    failed: dict[str, Refused] = {}
    for workspace in chosen:
        try:
            async with tx.savepoint():
                outcomes.append(await do(workspace))
        except Refused as refused:
            if refused.reason in _OF_THE_CALLER:
                raise
            failed[workspace.id] = refused
            outcomes.append(Outcome(workspace.id, "FAILED", error=error_of(refused)))
    return outcomes, failed


@dataclass(frozen=True, slots=True)
class InvokeSkill:
    """Start a run of the skill in each workspace."""

    skill: Skill
    input: JsonObject
    approval_required: bool

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "InvokeSkill":
        """The action behind its config; every bad field is named under `/config`."""
        read = config_of(InvokeConfig, config)
        skill = skills.find(read.skill, pointer="/config/skill")
        wanted = read.approval is not None and read.approval.required
        return cls(skill, skill.read_input(read.input, at=("config", "input")), wanted)

    async def apply(self, tx: Tx, caller: Caller, bulk_id: str, chosen: Sequence[Workspace]) -> list[Outcome]:
        """All runs begin by a constant number of statements; one whose pool lacks credits fails alone."""
        requests = [self._request(workspace, bulk_id) for workspace in chosen]
        started = await invocations.invoke_many(tx, caller, requests)
        return [_started(workspace.id, run) for workspace, run in zip(chosen, started, strict=True)]

    def _request(self, workspace: Workspace, bulk_id: str) -> StartRequest:
        return StartRequest(
            workspace_id=workspace.id,
            skill=self.skill.slug,
            input=self.input,
            approval_required=self.approval_required,
            queue="bulk",
            bulk_id=bulk_id,
        )

    async def gates(self, tx: Tx, chosen: Sequence[Workspace]) -> Mapping[str, Sequence[str]]:
        """By the policy of each workspace as it is now."""
        in_force = await workspaces.in_force_for(tx, chosen)
        return {identity: self._gates(found.values["approvalPolicy"]) for identity, found in in_force.items()}

    def _gates(self, base: Mapping[str, str]) -> Sequence[str]:
        policy = skills.effective_policy(base, self.skill, approval_required=self.approval_required)
        return skills.gates_that_ask(policy)


def _started(workspace_id: str, run: Run | Refused) -> Outcome:
    if isinstance(run, Refused):
        return Outcome(workspace_id, "FAILED", error=error_of(run))
    return Outcome(workspace_id, "PENDING", run_id=run.id, estimated=run.estimated)


@dataclass(frozen=True, slots=True)
class UpdateWorkspaces:
    """Merge the same patch into each workspace, at once."""

    patch: Mapping[str, Any]

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> "UpdateWorkspaces":
        """The action behind its config: what PATCH of one workspace takes."""
        if not config:
            raise BadFields([FieldError("/config", "must name at least one field to change")])
        return cls(config)

    async def apply(self, tx: Tx, caller: Caller, _bulk_id: str, chosen: Sequence[Workspace]) -> list[Outcome]:
        """Each in a part of its own, so that a conflict fails alone; a patch that no workspace takes is refused."""

        async def change(workspace: Workspace) -> Outcome:
            await workspaces.update(
                tx, caller, workspace.id, patch=dict(self.patch), stored_keys=integrations.stored_keys
            )
            return Outcome(workspace.id, "SUCCEEDED", before=self._before(workspace))

        outcomes, failed = await one_by_one(tx, chosen, change)
        _refuse_bad_for_all(failed, len(chosen))
        return outcomes

    def _before(self, workspace: Workspace) -> JsonObject:
        replaced = workspace.profile.as_sent()
        return {name: replaced[name] for name in self.patch}

    async def gates(self, _tx: Tx, _chosen: Sequence[Workspace]) -> Mapping[str, Sequence[str]]:
        """A change of workspaces waits for nobody."""
        return {}


def _refuse_bad_for_all(failed: Mapping[str, Refused], asked: int) -> None:
    """Fields that are bad everywhere are the config's fault and not the workspaces'."""
    bad = [refused for refused in failed.values() if isinstance(refused, BadFields)]
    if bad and len(bad) == asked:
        raise BadFields([FieldError(f"/config{error.pointer}", error.detail) for error in bad[0].errors])


@dataclass(frozen=True, slots=True)
class KnownAction:
    """What a caller needs for an action, and how its config is read."""

    scopes: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], Action]


# Runs live inside the workspaces, where an agency's key has to be let in.
ACTIONS: Final[dict[str, KnownAction]] = {
    "agent.invoke": KnownAction(("runs:start", "workspaces:act"), InvokeSkill.read),
    "workspace.update": KnownAction(("workspaces:write",), UpdateWorkspaces.read),
}
"""Every action by its name."""


def offer(name: str, action: KnownAction) -> None:
    """Have one more action from now on; a second call with the same changes nothing.

    For the floors above, which the processes tie to this one when they start.
    """
    ACTIONS[name] = action


def read(caller: Caller, name: str, config: Mapping[str, Any]) -> Action:
    """The action of this name with this config; refused: an unknown one, who may not do it, a bad config."""
    known = ACTIONS.get(name)
    if known is None:
        raise Refused(
            "bulk.action_unknown",
            f"There is no such bulk action; these are known: {', '.join(ACTIONS)}.",
            errors=[FieldError("/action", f"must be one of {', '.join(ACTIONS)}")],
            details={"actions": list(ACTIONS)},
        )
    for scope in known.scopes:
        caller.require(scope)
    return known.read(config)
