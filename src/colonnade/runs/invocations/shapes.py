"""The shapes in which HTTP speaks of skills and invocations."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from colonnade.credits import PriceList
from colonnade.ground.web import Amount, Body, Flag, Instant, Name, Shown, examples
from colonnade.runs import skills
from colonnade.runs.invocations.model import Mode, Run, RunFilter, RunState, Step
from colonnade.runs.skills import Skill, StepKind

Status = Literal[
    "PENDING",
    "RUNNING",
    "WAITING_APPROVAL",
    "WAITING_INPUT",
    "WAITING_CHILDREN",
    "SUCCEEDED",
    "FAILED",
    "CANCELLED",
]
AnyCase = Annotated[Status, BeforeValidator(lambda text: text.upper() if isinstance(text, str) else text)]


class SkillShown(Shown):
    """Something that the agent can do."""

    slug: str
    name: str
    description: str
    version: int
    input_schema: dict[str, Any] = Field(description="JSON Schema of the `input`.")
    gates: Sequence[str] = Field(description="Where a run may wait for an approval.")
    price: Amount = Field(description="What one run costs at most.")
    duration_seconds: int = Field(description="About how long a run takes when nobody has to be waited for.")

    @classmethod
    def of(cls, skill: Skill, prices: PriceList) -> "SkillShown":
        """The skill at the agency's prices."""
        return cls(
            slug=skill.slug,
            name=skill.name,
            description=skill.description,
            version=skill.version,
            input_schema=skill.input_schema(),
            gates=skill.gates,
            price=prices.estimate(skill.features),
            duration_seconds=skill.seconds,
        )


class SkillsShown(Shown):
    """All of them."""

    skills: Sequence[SkillShown]


class ApprovalWish(Body):
    """How strict this one run shall be."""

    required: Flag = Field(False, description="Wait for an approval at every gate, whatever the policy says.")


class Invoke(Body):
    """What shall be done."""

    model_config = examples(
        {"skill": "draft_post", "input": {"topic": "Sprint planning", "keyword": "sprint planning"}},
        {"skill": "draft_post", "input": {"publish": False}, "approval": {"required": True}, "mode": "BACKGROUND"},
    )
    skill: Name
    input: dict[str, Any] = Field(default_factory=dict, description="As the skill's `inputSchema` says.")
    approval: ApprovalWish = Field(default_factory=ApprovalWish)
    mode: Mode = Field("BACKGROUND", description="FOREGROUND waits for the end, up to 55 seconds.")


class EstimatedCost(Shown):
    """What was held for a run, and about how long it takes."""

    credits: Amount
    duration_seconds: int


class Links(Shown):
    """Where to go on."""

    self: str
    events: str
    tree: str


def path_of(run: Run) -> str:
    """The address of an invocation."""
    return f"/v1/agent/invocations/{run.id}"


def _links(run: Run) -> Links:
    path = path_of(run)
    return Links(self=path, events=f"{path}/events", tree=f"{path}/tree")


def _estimated(run: Run) -> EstimatedCost:
    skill = skills.SKILLS.get(run.skill)
    return EstimatedCost(credits=run.estimated, duration_seconds=skill.seconds if skill else 0)


class Handle(Shown):
    """An invocation that was started."""

    invocation_id: str
    workspace_id: str
    agent_id: str
    skill: str
    status: Status
    estimated_cost: EstimatedCost
    links: Links

    @classmethod
    def of(cls, run: Run) -> "Handle":
        """What the caller needs to follow the run."""
        return cls(
            invocation_id=run.id,
            workspace_id=run.workspace_id,
            agent_id=run.agent_id,
            skill=run.skill,
            status=run.state.value,
            estimated_cost=_estimated(run),
            links=_links(run),
        )


class StepShown(Shown):
    """Something that the run did."""

    id: str
    number: int
    name: str
    kind: StepKind
    summary: str
    facts: dict[str, Any]
    started_at: Instant
    ended_at: Instant

    @classmethod
    def of(cls, step: Step) -> "StepShown":
        """The step as callers read it."""
        return cls(
            id=step.id,
            number=step.number,
            name=step.name,
            kind=step.kind,
            summary=step.summary,
            facts=step.facts,
            started_at=step.started_at,
            ended_at=step.ended_at,
        )


class StepsShown(Shown):
    """All steps so far, in order."""

    data: Sequence[StepShown]


class DecisionShown(Shown):
    """What was decided at a gate."""

    step: str
    approval_id: str | None = Field(description="Null where the policy let the run pass.")
    status: str
    by: str | None
    at: Instant

    @classmethod
    def of(cls, step: Step) -> "DecisionShown":
        """The decision that the step tells of."""
        facts = step.facts
        return cls(
            step=step.name,
            approval_id=facts.get("approvalId"),
            status=facts.get("status", "APPROVED"),
            by=facts.get("by"),
            at=step.ended_at,
        )


class RunError(Shown):
    """Why an invocation failed."""

    code: str
    reason: str
    message: str
    step: str | None


class InvocationShown(Handle):
    """An invocation as it stands."""

    parent_id: str | None
    bulk_action_id: str | None
    skill_version: int
    input: dict[str, Any]
    approval_required: bool
    mode: Mode
    credits_used: Amount
    result: dict[str, Any] | None
    error: RunError | None
    started_by: str
    cancel_requested_at: Instant | None
    created_at: Instant
    updated_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    approval_id: str | None = Field(None, description="The approval that it waits for; on single reads.")
    steps: Sequence[StepShown] | None = Field(None, description="On single reads.")
    decisions: Sequence[DecisionShown] | None = Field(None, description="On single reads.")

    @classmethod
    def of(cls, run: Run, steps: Sequence[Step] | None = None, *, approval_id: str | None = None) -> "InvocationShown":
        """The run as callers read it."""
        return cls(**_told(run), approval_id=approval_id, **_steps_told(steps))


def _steps_told(steps: Sequence[Step] | None) -> dict[str, Any]:
    if steps is None:
        return {}
    decisions = [DecisionShown.of(step) for step in steps if step.kind == "decision"]
    return {"steps": [StepShown.of(step) for step in steps], "decisions": decisions}


def _told(run: Run) -> dict[str, Any]:
    return {
        "invocation_id": run.id,
        "workspace_id": run.workspace_id,
        "agent_id": run.agent_id,
        "skill": run.skill,
        "status": run.state.value,
        "estimated_cost": _estimated(run),
        "links": _links(run),
        "parent_id": run.parent_id,
        "bulk_action_id": run.bulk_id,
        "skill_version": run.skill_version,
        "input": run.input,
        "approval_required": run.approval_required,
        "mode": run.mode,
        "credits_used": run.credits_used,
        "result": run.result,
        "error": None if run.error is None else RunError(**run.error),
        "started_by": run.started_by,
        "cancel_requested_at": run.cancel_requested_at,
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
    }


class InvocationNode(InvocationShown):
    """An invocation with what it started."""

    children: Sequence["InvocationNode"]

    @classmethod
    def tree(cls, runs: Sequence[Run]) -> "InvocationNode":
        """The tree of these runs, whose first is the root."""
        below: dict[str | None, list[Run]] = {}
        for run in runs[1:]:
            below.setdefault(run.parent_id, []).append(run)

        def node(run: Run) -> InvocationNode:
            return cls(**_told(run), children=[node(child) for child in below.get(run.id, [])])

        return node(runs[0])


class ListInvocations(Body):
    """Which invocations of the list."""

    scope: Literal["workspace", "agency"] = "workspace"
    status: list[AnyCase] = Field(default_factory=list, description="May stand several times.")
    skill: str | None = Field(None, max_length=100)
    bulk_action_id: str | None = Field(None, max_length=64)
    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None
    count: Literal["exact"] | None = None

    def where(self) -> RunFilter:
        """The filter of the slice."""
        return RunFilter(tuple(RunState(status) for status in self.status), self.skill, self.bulk_action_id)


class Follow(Body):
    """From where on."""

    after: int = Field(
        0, ge=0, le=999_999_999, description="The number of the last event that is known; `Last-Event-ID` comes first."
    )
