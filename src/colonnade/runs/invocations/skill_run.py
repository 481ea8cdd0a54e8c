"""What a skill holds in its hands: `RunContext` over the engine's journal and our own rows."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeVar, cast

from colonnade import integrations
from colonnade.brand import content
from colonnade.ground.core.callers import Caller
from colonnade.ground.db.database import Database, Tx
from colonnade.integrations import MasterKeys
from colonnade.runs.engine.context import Context
from colonnade.runs.engine.model import JSON, Cancelled
from colonnade.runs.invocations import moves, store, waiting
from colonnade.runs.invocations.briefs import ChosenKeys, brief_of, switched_on
from colonnade.runs.invocations.failures import RunFailed, told
from colonnade.runs.invocations.model import Run, RunState, run_caller
from colonnade.runs.invocations.outcomes import noted
from colonnade.runs.skills import Article, Brand, Decision, JsonObject, PublishedPost, StepKind, gates_that_ask
from colonnade.runs.writing import Writers, Written
from colonnade.tenancy import workspaces

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Means:
    """What runs work with in this process."""

    database: Database
    writers: Writers
    publishers: content.Publishers
    masters: MasterKeys
    approval_seconds: int
    """How long an approval waits where the gate's own rule says nothing."""


@dataclass(frozen=True, slots=True)
class _Used:
    """Something that costs."""

    feature: str
    quantity: int = 1
    model: str | None = None

    def to_json(self) -> JsonObject:
        """How it lies in the run's usage."""
        return {"feature": self.feature, "quantity": self.quantity, "model": self.model}


@dataclass(frozen=True, slots=True)
class _Work:
    """One step to be done: what it is called and shown as, and what its result tells and costs."""

    name: str
    kind: StepKind
    summary: str
    facts: Callable[[Any], JsonObject]
    used: Callable[[Any], _Used] | None = None


def _no_facts(_value: Any) -> JsonObject:
    return {}


class SkillRun:
    """One execution of a run. Steps are journaled by the engine, and shown by rows written just before."""

    def __init__(self, engine: Context, run: Run, means: Means) -> None:
        assert run.context is not None, "a run is opened before its skill is entered"
        self._engine = engine
        self._run = run
        self._means = means
        self._context: Final[JsonObject] = run.context
        self._caller: Final[Caller] = run_caller(run, mode=run.context["mode"])
        self.current_step: str | None = None
        """The step that was begun last, for telling where a run failed."""

    @property
    def run_id(self) -> str:
        """The invocation's id."""
        return self._run.id

    @property
    def workspace_id(self) -> str:
        """The one workspace that it may see."""
        return self._run.workspace_id

    @property
    def input(self) -> JsonObject:
        """What was asked for."""
        return self._run.input

    @property
    def brand(self) -> Brand:
        """The brand as it was when the run began."""
        return Brand.of_json(self._context["brand"])

    @property
    def settings(self) -> Mapping[str, Any]:
        """The effective settings as they were when the run began."""
        settings: Mapping[str, Any] = self._context["settings"]
        return settings

    @property
    def policy(self) -> Mapping[str, str]:
        """What holds at each gate for this run."""
        policy: Mapping[str, str] = self._context["policy"]
        return policy

    @property
    def _is_rehearsal(self) -> bool:
        """Whether the run belongs to a test twin, from which no call goes out."""
        return bool(self._context["mode"] == "test")

    def key(self, step: str) -> str:
        """The key of this step's effect."""
        return f"{self.run_id}:{step}"

    async def step(
        self,
        name: str,
        kind: StepKind,
        summary: str,
        fn: Callable[[], Awaitable[_T]],
        *,
        facts: Callable[[_T], JsonObject] = _no_facts,
    ) -> _T:
        """Do it once, outside of any transaction."""
        return await self._outside(_Work(name, kind, summary, facts), fn)

    async def command(self, name: str, summary: str, fn: Callable[[Tx, Caller], Awaitable[_T]]) -> _T:
        """Do it once, in the transaction that shows it."""

        async def work(tx: Tx) -> _T:
            return await fn(tx, self._caller)

        return await self._inside(_Work(name, "work", summary, _no_facts), work)

    async def use(self, step: str, feature: str, *, quantity: int = 1, model: str | None = None) -> None:
        """Count it once for this step; more than was held ends the run."""
        async with self._means.database.transaction(self._run.reach) as tx:
            await self._use(tx, step, _Used(feature, quantity, model))

    async def write_article(
        self, step: str, *, topic: str | None, keyword: str | None, instructions: str | None
    ) -> Article:
        """The model's article; model and token counts are the step's facts, prompts and answers are kept nowhere."""
        brief = brief_of(self.brand, self.settings, topic=topic, keyword=keyword, instructions=instructions)

        async def write() -> JsonObject:
            if self._is_rehearsal:
                return _kept(await self._means.writers.scripted.write(brief))
            keys = await self._own_keys()
            async with noted(self._means.database, self._run, lambda: keys.opened):
                writer = self._means.writers.choose(self.settings.get("defaultModel"), keys)
                return _kept(await writer.write(brief))

        work = _Work(
            step, "model", "Write the article", _model_facts, lambda kept: _Used("generation", 1, kept["model"])
        )
        self._require_room(step, _Used("generation"))
        kept = await self._outside(work, write)
        article = kept["article"]
        return Article(**{**article, "outline": tuple(article["outline"])}, model=kept["model"])

    async def _own_keys(self) -> ChosenKeys:
        async with self._means.database.transaction(self._run.reach) as tx:
            own = await integrations.keys_for(tx, self._caller, self.workspace_id, masters=self._means.masters)
        return switched_on(own, self.settings)

    async def approve(self, gate: str, *, step: str, preview: JsonObject, reason: str) -> Decision:
        """Pass the gate by policy, or wait for the decision without holding a worker."""
        if gate not in gates_that_ask(self.policy):
            work = _Work(step, "decision", f"Passed the gate {gate}: its policy is auto", _no_facts)
            await self._inside(work, lambda _tx: _true())
            return Decision("APPROVED", preview)
        question = waiting.Question(gate, step, preview, reason, self._means.approval_seconds)
        raised = await self._engine.step(f"{step}.raised", lambda: self._raise(question))
        payload = await self._engine.wait_for(raised)
        decision = waiting.decision_of(payload)
        summary = waiting.summary_of(decision)
        facts = {"approvalId": raised, "status": decision.status, "by": decision.by}
        await self._inside(_Work(step, "decision", summary, lambda _: facts), self._go_on)
        return decision

    async def publish(self, step: str, *, post_id: str, revision: int) -> PublishedPost:
        """The post's address once the workspace's publisher has it; only this very revision comes out."""

        async def publish() -> JsonObject:
            post = await self._publishable(post_id, revision)
            if post.published_url is not None:
                return {"postId": post.id, "url": post.published_url}
            published = await self._bring_out(
                content.publication_of(post, self._place(), idempotency_key=self.key(step))
            )
            await self._mark_published(post, published)
            return {"postId": post.id, "url": published.url}

        work = _Work(step, "tool", "Publish the post", dict, lambda _kept: _Used("publish"))
        self._require_room(step, _Used("publish"))
        kept = await self._outside(work, publish)
        return PublishedPost(kept["postId"], kept["url"])

    async def _bring_out(self, publication: content.Publication) -> content.Published:
        way = self.settings["publishing"]
        which = None if self._is_rehearsal else integrations.PUBLISHING
        async with noted(self._means.database, self._run, lambda: which, integrations.target_of(way)):
            publisher = self._means.publishers.choose(way, rehearsal=self._is_rehearsal)
            return await publisher.publish(publication)

    async def _publishable(self, post_id: str, revision: int) -> content.Post:
        async with self._means.database.transaction(self._run.reach) as tx:
            await workspaces.ensure_open(tx, self.workspace_id)
            post = await content.get(tx, self._caller, post_id)
        is_the_one = post.status is content.PostStatus.APPROVED and post.revision == revision
        if not is_the_one and post.status is not content.PostStatus.PUBLISHED:
            raise RunFailed("posts.wrong_state", "The post was changed after its approval, so it is not published.")
        return post

    async def _mark_published(self, post: content.Post, published: content.Published) -> None:
        async with self._means.database.transaction(self._run.reach) as tx:
            await content.mark_published(
                tx, self._caller, post.id, url=published.url, at=await tx.now(), revision=post.revision
            )

    def _place(self) -> content.Place:
        language = self.settings.get("primaryLanguage") or "en"
        return content.Place(self._run.agency_id, self.brand.slug, self.brand.name, language)

    async def _raise(self, question: waiting.Question) -> str:
        async with self._means.database.transaction(self._run.reach) as tx:
            return await waiting.ask(tx, self._caller, self._run, question)

    async def _go_on(self, tx: Tx) -> bool:
        if await moves.move(tx, self._run, RunState.RUNNING) is None:
            await self._require_running(tx)
        return True

    async def _require_running(self, tx: Tx) -> None:
        run = await store.find(tx, self.run_id)
        if run is None or run.state is not RunState.RUNNING:
            raise Cancelled("the run does not go on")

    async def _outside(self, work: _Work, fn: Callable[[], Awaitable[_T]]) -> _T:
        async def once() -> JSON:
            started = await self._tell_begun(work)
            with told():
                value = await fn()
            async with self._means.database.transaction(self._run.reach) as tx:
                await self._show(tx, work, value, started)
            return cast("JSON", value)

        return cast("_T", await self._journaled(work, once))

    async def _inside(self, work: _Work, fn: Callable[[Tx], Awaitable[_T]]) -> _T:
        async def once() -> JSON:
            async with self._means.database.transaction(self._run.reach) as tx:
                with told():
                    value = await fn(tx)
                await self._show(tx, work, value, await tx.now())
            return cast("JSON", value)

        return cast("_T", await self._journaled(work, once))

    async def _journaled(self, work: _Work, once: Callable[[], Awaitable[JSON]]) -> JSON:
        self.current_step = work.name
        value = await self._engine.step(work.name, once)
        self.current_step = None
        return value

    async def _tell_begun(self, work: _Work) -> datetime:
        async with self._means.database.transaction(self._run.reach) as tx:
            await self._tell(tx, "step.started", work)
            return await tx.now()

    async def _show(self, tx: Tx, work: _Work, value: Any, started: datetime) -> None:
        if work.used is not None:
            await self._use(tx, work.name, work.used(value))
        if await store.has_step(tx, self._run, work.name):
            return  # done before by a worker that was lost between this and the journal
        await self._tell(tx, "step.completed", work)
        await store.add_step(tx, self._run, work.name, work.kind, work.summary, work.facts(value), started)

    async def _tell(self, tx: Tx, event: str, work: _Work) -> None:
        data = {"name": work.name, "kind": work.kind, "summary": work.summary}
        if not await store.tell(tx, self._run, event, data):
            raise Cancelled("the run has ended")

    async def _use(self, tx: Tx, step: str, used: _Used) -> None:
        self._require_room(step, used)
        run = await store.use(tx, self._run, f"{step}/{used.feature}", used.to_json())
        if run is None:
            raise Cancelled("the run has ended")
        self._run = run

    def _require_room(self, step: str, used: _Used) -> None:
        """Stop before the run uses more than was held for it."""
        then = replace(self._run, usage={**self._run.usage, f"{step}/{used.feature}": used.to_json()})
        if then.credits_so_far() > self._run.estimated:
            raise RunFailed("credits.hold_exceeded", "The run would use more credits than were held for it.")


async def _true() -> bool:
    return True


def _kept(written: Written) -> JsonObject:
    article = written.article
    return {
        "article": {
            "title": article.title,
            "slug": article.slug,
            "outline": list(article.outline),
            "body": article.body,
            "meta_description": article.meta_description,
        },
        "model": written.model,
        "tokensIn": written.tokens_in,
        "tokensOut": written.tokens_out,
    }


def _model_facts(kept: JsonObject) -> JsonObject:
    return {"model": kept["model"], "tokensIn": kept["tokensIn"], "tokensOut": kept["tokensOut"]}
