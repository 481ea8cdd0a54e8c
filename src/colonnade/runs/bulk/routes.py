"""How HTTP says bulk actions. Their fixed paths stand beside `/v1/workspaces/{id}`, so they are mounted before it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import Query
from pydantic import BeforeValidator, Discriminator, Field, Tag
from starlette.requests import Request
from starlette.responses import Response

from colonnade.ground.web import (
    Amount,
    Body,
    Call,
    Flag,
    Instant,
    PageOf,
    Place,
    Shown,
    Who,
    access,
    call_of,
    examples,
    router,
)
from colonnade.runs import bulk
from colonnade.runs.bulk.model import MOST, BulkAction, BulkStatus, Counts, Item, ItemState, PlanLine, Selection, Wish
from colonnade.runs.bulk.service import Slice

routes = router("Bulk actions")


class Tagged(Body):
    """Every active workspace with a tag."""

    tag: str = Field(min_length=1, max_length=200, examples=["tier:premium"])


def _kind(sent: Any) -> str | None:
    kinds: dict[type, str] = {str: "all of them", list: "these ids", dict: "tagged ones", Tagged: "tagged ones"}
    return kinds.get(type(sent))


WorkspaceId = Annotated[str, Field(max_length=64)]
_FORMS: Final = 'must be "all", a list of workspace ids, or {"tag": "key:value"}'


def _all(sent: Any) -> Any:
    if sent != "all":
        raise ValueError(_FORMS)
    return sent


Selected = Annotated[
    Annotated[Literal["all"], BeforeValidator(_all), Tag("all of them")]
    | Annotated[list[WorkspaceId], Field(min_length=1, max_length=MOST), Tag("these ids")]
    | Annotated[Tagged, Tag("tagged ones")],
    Discriminator(
        _kind,
        custom_error_type="selection",
        custom_error_message=_FORMS,
    ),
]
AnyCase = Annotated[ItemState, BeforeValidator(lambda text: text.upper() if isinstance(text, str) else text)]


class StartBulkAction(Body):
    """One thing to be done in many workspaces."""

    model_config = examples(
        {"action": "agent.invoke", "workspaces": "all", "config": {"skill": "draft_post", "input": {}}},
        {
            "action": "workspace.update",
            "workspaces": {"tag": "tier:premium"},
            "config": {"settings": {"approvalPolicy": {"publish": "auto"}}},
            "dryRun": True,
        },
    )
    action: str = Field(description="One of `agent.invoke`, `workspace.update`, `template.deploy`.")
    workspaces: Selected = Field(description="All means the active ones that the key reaches, fixed at acceptance.")
    config: dict[str, Any] = Field(
        description="For `agent.invoke`: skill, input, approval. For `workspace.update`: what PATCH of one takes. For "
        "`template.deploy`: templateId, version, onConflict (keep, overwrite), mode (pin, follow)."
    )
    dry_run: Flag = Field(False, description="Tell what would happen, and do nothing.")

    def wish(self) -> Wish:
        """What is wanted."""
        return Wish(self.action, self._selection(), self.config)

    def _selection(self) -> Selection:
        if isinstance(self.workspaces, Tagged):
            return Selection(tag=self.workspaces.tag)
        return Selection() if self.workspaces == "all" else Selection(ids=tuple(self.workspaces))


class CountsShown(Shown):
    """How many workspaces stand where."""

    total: int
    pending: int
    running: int
    waiting: int = Field(description="For a person's decision or input.")
    succeeded: int
    failed: int
    cancelled: int = Field(description="Stopped by somebody, or not approved.")
    skipped: int = Field(description="Archived when the action was accepted.")

    @classmethod
    def of(cls, counts: Counts) -> "CountsShown":
        """The counts as callers read them."""
        return cls(
            total=counts.total,
            pending=counts.pending,
            running=counts.running,
            waiting=counts.waiting,
            succeeded=counts.succeeded,
            failed=counts.failed,
            cancelled=counts.cancelled,
            skipped=counts.skipped,
        )


class LinksShown(Shown):
    """Where to read on."""

    self: str
    items: str


class BulkActionShown(Shown):
    """A bulk action and how far it is."""

    bulk_action_id: str
    action: str
    status: BulkStatus
    counts: CountsShown
    workspaces: Any = Field(description="As they were selected.")
    config: Mapping[str, Any]
    started_by: str
    cancel_requested_at: Instant | None
    ended_at: Instant | None
    created_at: Instant
    updated_at: Instant
    links: LinksShown

    @classmethod
    def of(cls, action: BulkAction) -> "BulkActionShown":
        """The bulk action as callers read it."""
        path = _path(action)
        return cls(
            bulk_action_id=action.id,
            action=action.action,
            status=action.status,
            counts=CountsShown.of(action.counts),
            workspaces=action.selection,
            config=action.config,
            started_by=action.started_by,
            cancel_requested_at=action.cancel_requested_at,
            ended_at=action.ended_at,
            created_at=action.created_at,
            updated_at=action.updated_at,
            links=LinksShown(self=path, items=f"{path}/items"),
        )


def _path(action: BulkAction) -> str:
    return f"/v1/workspaces/bulk-actions/{action.id}"


class CostShown(Shown):
    """What it took."""

    credits: Amount


class ItemShown(Shown):
    """What became of one workspace."""

    workspace_id: str
    invocation_id: str | None
    state: ItemState
    cost: CostShown
    error: Mapping[str, Any] | None
    result: Mapping[str, Any] | None = Field(
        description="Of `template.deploy`: version, and the fields that were applied, kept, or the same."
    )
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, item: Item) -> "ItemShown":
        """The item as callers read it."""
        return cls(
            workspace_id=item.workspace_id,
            invocation_id=item.run_id,
            state=item.state,
            cost=CostShown(credits=item.credits_used),
            error=item.error,
            result=item.result,
            created_at=item.created_at,
            updated_at=item.updated_at,
        )


class PlanLineShown(Shown):
    """What would become of one workspace."""

    workspace_id: str
    would_run: bool
    estimated_credits: Amount
    approvals: Sequence[str] = Field(description="The gates at which its run would wait for a person.")
    conflict: Mapping[str, Any] | None = Field(description="Why it would fail or be skipped.")
    result: Mapping[str, Any] | None = Field(description="What would be done, where the action tells it.")

    @classmethod
    def of(cls, line: PlanLine) -> "PlanLineShown":
        """The line as callers read it."""
        outcome = line.outcome
        return cls(
            workspace_id=outcome.workspace_id,
            would_run=outcome.goes_ahead,
            estimated_credits=outcome.estimated,
            approvals=line.approvals,
            conflict=outcome.error,
            result=outcome.result,
        )


class TotalsShown(Shown):
    """The plan summed up."""

    workspaces: int
    would_run: int
    conflicts: int
    skipped: int
    estimated_credits: Amount


class PlanShown(Shown):
    """What would happen; nothing of it was done."""

    data: Sequence[PlanLineShown]
    totals: TotalsShown

    @classmethod
    def of(cls, lines: Sequence[PlanLine]) -> "PlanShown":
        """The plan as callers read it."""
        outcomes = [line.outcome for line in lines]
        return cls(
            data=[PlanLineShown.of(line) for line in lines],
            totals=TotalsShown(
                workspaces=len(outcomes),
                would_run=sum(outcome.goes_ahead for outcome in outcomes),
                conflicts=sum(outcome.state == "FAILED" for outcome in outcomes),
                skipped=sum(outcome.state == "SKIPPED" for outcome in outcomes),
                estimated_credits=sum(outcome.estimated for outcome in outcomes),
            ),
        )


class ListBulkActions(Body):
    """How the list is cut."""

    limit: int = Field(50, ge=1, le=100)
    cursor: str | None = None
    count: Literal["exact"] | None = None

    def cut(self, call: Call, what: str) -> Slice:
        """The slice of the list `what` that is asked for."""
        position = call.cursor(what, self.cursor)
        return Slice(self.limit, None if position is None else position[0], self.count == "exact")


class ListItems(ListBulkActions):
    """Which items, and how the list is cut."""

    state: list[AnyCase] = Field(default_factory=list, max_length=7, description="May stand several times.")


@routes.post(
    "/v1/workspaces/bulk-action",
    status_code=202,
    response_model=BulkActionShown,
    responses={200: {"model": PlanShown, "description": "What would happen (`dryRun`)"}},
)
@access(Who.AGENCY, place=Place.WORKSPACES)
async def start_bulk_action(request: Request, body: StartBulkAction) -> Response:
    """Do one thing in many workspaces.

    `agent.invoke` starts a run of a skill in each of them, `workspace.update` changes each of them at once,
    `template.deploy` deploys a version of a template. Every workspace fails alone; archived ones are skipped. `dryRun`
    answers with the plan.
    """
    call = call_of(request)
    async with call.writing() as tx:
        if body.dry_run:
            return call.answer(200, PlanShown.of(await bulk.plan(tx, call.caller, body.wish())))
        action = await bulk.start(tx, call.caller, body.wish())
        return call.answer(202, BulkActionShown.of(action), headers={"Location": _path(action)})


@routes.get("/v1/workspaces/bulk-actions", response_model=PageOf[BulkActionShown])
@access(Who.AGENCY, "workspaces:read", place=Place.WORKSPACES)
async def list_bulk_actions(request: Request, query: Annotated[ListBulkActions, Query()]) -> Response:
    """List bulk actions.

    The newest first. A key that does not reach the whole agency sees those that it started itself.
    """
    call = call_of(request)
    cut = query.cut(call, "bulk actions")
    async with call.reading() as tx:
        found, more, total = await bulk.page(tx, call.caller, cut)
    shown = PageOf[BulkActionShown](
        data=[BulkActionShown.of(action) for action in found],
        next_cursor=call.next_cursor("bulk actions", [found[-1].id] if more else None),
        total=total,
    )
    return call.answer(200, shown)


@routes.get("/v1/workspaces/bulk-actions/{bulk_action_id}", response_model=BulkActionShown)
@access(Who.AGENCY, "workspaces:read", place=Place.WORKSPACES)
async def read_bulk_action(request: Request, bulk_action_id: str) -> Response:
    """Read a bulk action: its status and how many workspaces stand where."""
    call = call_of(request)
    async with call.reading() as tx:
        action = await bulk.get(tx, call.caller, bulk_action_id)
    return call.answer(200, BulkActionShown.of(action))


@routes.get("/v1/workspaces/bulk-actions/{bulk_action_id}/items", response_model=PageOf[ItemShown])
@access(Who.AGENCY, "workspaces:read", place=Place.WORKSPACES)
async def list_bulk_items(request: Request, bulk_action_id: str, query: Annotated[ListItems, Query()]) -> Response:
    """List what became of each workspace of a bulk action."""
    call = call_of(request)
    what = f"bulk items {bulk_action_id}"
    cut = query.cut(call, what)
    async with call.reading() as tx:
        found, more, total = await bulk.items(tx, call.caller, bulk_action_id, query.state, cut)
    shown = PageOf[ItemShown](
        data=[ItemShown.of(item) for item in found],
        next_cursor=call.next_cursor(what, [found[-1].workspace_id] if more else None),
        total=total,
    )
    return call.answer(200, shown)


@routes.post("/v1/workspaces/bulk-actions/{bulk_action_id}/cancel", status_code=202, response_model=BulkActionShown)
@access(Who.AGENCY, "runs:cancel", place=Place.WORKSPACES)
async def cancel_bulk_action(request: Request, bulk_action_id: str) -> Response:
    """Cancel a bulk action.

    Every run that has not ended is asked to stop, and stops as soon as a worker hears of it; the counts tell.
    """
    call = call_of(request)
    async with call.writing() as tx:
        action = await bulk.cancel(tx, call.caller, bulk_action_id)
        return call.answer(202, BulkActionShown.of(action))
