"""Wires the background process: the plain catalogue of what it does, and how it begins and leaves."""

import asyncio
import functools
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import structlog

from colonnade import credits
from colonnade.brand import content
from colonnade.brand.content import FolderPublisher, Publishers
from colonnade.credits.jobs import begin_cycles, expire_due
from colonnade.credits.seal_jobs import LedgerSealer, make_statements
from colonnade.ground.core.callers import Caller
from colonnade.ground.core.secrets import Pepper, Secret
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import UNREACHABLE, Database
from colonnade.ground.db.tasks import end_all
from colonnade.ground.outgoing import AllowList, OutgoingClient
from colonnade.integrations import MasterKeys
from colonnade.outbound.mail import MailOptions, SmtpServer
from colonnade.outbound.mail.jobs import KINDS as MAILED
from colonnade.outbound.mail.jobs import forget as forget_mail
from colonnade.outbound.mail.jobs import queue as queue_mail
from colonnade.outbound.mail.jobs import send_due
from colonnade.outbound.templates.jobs import deploy_due
from colonnade.outbound.templates.jobs import follow as follow_template
from colonnade.runs import bulk, invocations
from colonnade.runs.engine import gateway
from colonnade.runs.engine.worker import Worker, WorkerOptions
from colonnade.runs.invocations.jobs import Limits, Means, Rounds, RunExecution
from colonnade.runs.writing import ModelOptions, Writers
from colonnade.settings import Settings
from colonnade.tenancy import sessions
from colonnade.tenancy.agencies.jobs import TwinFollower
from colonnade.tenancy.audit import Announcement
from colonnade.tenancy.audit.jobs import Reactions, Sealer, announce, erase_due, verify_due
from colonnade.tenancy.workspaces import Activity
from colonnade.tenancy.workspaces.jobs import Step, purge_due

_log = structlog.get_logger("colonnade.worker")

_BEAT_SECONDS: Final = 5.0
_CLEAN_SECONDS: Final = 600.0
_BATCH: Final = 5000
_SEAL_SECONDS: Final = 0.3
_LATER_SECONDS: Final = 1.0
_CYCLE_SECONDS: Final = 15.0
_STATEMENT_SECONDS: Final = 60.0

REACTIONS: Final[Reactions] = {**{event: [queue_mail] for event in MAILED}, "templates.updated": [follow_template]}
"""What follows from which fact, by the name of the event."""


def reactions(database: Database) -> Reactions:
    """The same with those that write in an agency beside the one in which the fact happened."""
    return {**REACTIONS, "agencies.updated": [*REACTIONS.get("agencies.updated", ()), TwinFollower(database)]}


BEAT: Final = """
insert into worker_heartbeat (worker_id, at, started_at, admitted_at)
values ($1, now(), now(), now() - make_interval(secs => $2))
on conflict (worker_id) do update set at = excluded.at, admitted_at = excluded.admitted_at
"""
LEAVE: Final = "delete from worker_heartbeat where worker_id = $1 or at < now() - interval '1 day'"
FORGET_ANSWERS: Final = "select forget_answers($1)"
FORGET_REQUESTS: Final = "select forget_requests($1, $2)"
FORGET_SESSIONS: Final = "select forget_sessions($1, $2)"
FORGET_WINDOWS: Final = """
with gone as (
    delete from rate_window where ctid = any (array(
        select ctid from rate_window where started_at < now() - interval '1 day' limit $1)) returning 1)
select count(*) from gone
"""


@dataclass(frozen=True, slots=True)
class WorkerProcessOptions:
    """All that a background process is told."""

    address: Address
    pepper: Pepper
    masters: MasterKeys
    published: Path
    mail: MailOptions
    models: ModelOptions = field(default_factory=ModelOptions)
    allow: AllowList = field(default_factory=lambda: AllowList.parse(""))
    limits: Limits = field(default_factory=lambda: Limits(per_agency=16, per_workspace=4))
    slots: Mapping[str, int] = field(default_factory=lambda: {"interactive": 8, "bulk": 8})
    """How many runs of each queue it carries out at once."""
    lease_seconds: int = 45
    poll_seconds: float = 1.0
    drain_seconds: float = 20.0
    approval_seconds: int = 7 * 86_400
    request_log_days: int = 90
    usage_months: int = 25
    most_connections: int = 10
    through_pooler: bool = False


def options_from(settings: Settings, address: Address, pepper: Pepper, masters: MasterKeys) -> WorkerProcessOptions:
    """What the settings say to a background process."""
    return WorkerProcessOptions(
        address=address,
        pepper=pepper,
        masters=masters,
        published=settings.published,
        mail=_mail(settings),
        models=_models(settings),
        allow=AllowList.parse(settings.outbound_allow),
        limits=Limits(settings.runs_per_agency, settings.runs_per_workspace),
        slots={"interactive": settings.slots_interactive, "bulk": settings.slots_bulk},
        lease_seconds=settings.lease_seconds,
        approval_seconds=round(settings.approval_timeout_days * 86_400),
        request_log_days=settings.request_log_days,
        usage_months=settings.usage_months,
        most_connections=settings.database_connections,
        through_pooler=settings.database_pooled and settings.database_direct_url is None,
    )


def _mail(settings: Settings) -> MailOptions:
    url, options = settings.smtp_url, MailOptions(settings.mails, settings.address)
    return replace(
        options,
        sender=settings.mail_from or options.sender,
        server=None if url is None else SmtpServer.parse(url.get_secret_value()),
    )


def _models(settings: Settings) -> ModelOptions:
    anthropic, openai = settings.anthropic_api_key, settings.openai_api_key
    return ModelOptions(
        default_model=settings.default_model,
        anthropic_key=None if anthropic is None else Secret(anthropic.get_secret_value()),
        openai_key=None if openai is None else Secret(openai.get_secret_value()),
        openai_base_url=settings.openai_base_url,
        anthropic_base_url=settings.anthropic_base_url,
        local_model_path=settings.local_model_path,
        timeout_seconds=settings.model_timeout_seconds,
    )


def purge_steps(published: Path) -> list[Step]:
    """What each floor lets go of before a workspace's rows are erased, in this order."""
    folder = FolderPublisher(published)

    async def stop_runs(database: Database, caller: Caller, workspace_id: str) -> bool:
        async with database.transaction(caller.reach) as tx:
            return await invocations.stop_all(tx, caller, workspace_id)

    async def close_pool(database: Database, caller: Caller, workspace_id: str) -> bool:
        async with database.transaction(caller.reach) as tx:
            await credits.close_pool(tx, caller, workspace_id)
        return True

    async def remove_published(database: Database, caller: Caller, workspace_id: str) -> bool:
        await content.remove_published(database, caller, folder, workspace_id)
        return True

    return [stop_runs, close_pool, remove_published]


class BackgroundProcess:
    """Carries out runs, makes the rounds, keeps the house, tells that it lives."""

    def __init__(self, options: WorkerProcessOptions) -> None:
        invocations.on_state_change(bulk.follow)
        self._options = options
        self.database = Database(
            options.address,
            "colonnade_worker",
            options.pepper,
            most_connections=options.most_connections,
            through_pooler=options.through_pooler,
        )
        self._writers = Writers(options.models)
        self._client = OutgoingClient(options.allow)
        self._activity = Activity(self.database)
        self._reactions = reactions(self.database)
        self._rounds = Rounds(self.database, options.limits, poll_seconds=options.poll_seconds)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until told to stop, then let steps end and hand the rest back; a part that dies ends all of it."""
        await self._writers.prepare()
        await self.database.open()
        try:
            async with self._client:
                await self._work(stopping)
        finally:
            await self._activity.close()
            await self._writers.aclose()
            await self.database.close()

    async def _work(self, stopping: asyncio.Event) -> None:
        engine, sealer, ledgers = self._engine(), Sealer(self.database), LedgerSealer(self.database)
        heard = functools.partial(note_life, self._activity)
        announcing = functools.partial(announce, self.database, engine.worker_id, self._reactions, heard)
        _log.info("worker.started", worker=engine.worker_id)
        async with asyncio.TaskGroup() as group:
            carrying_out = group.create_task(engine.run(), name="carry out runs")
            others = [
                group.create_task(self._rounds.run(), name="make the rounds"),
                group.create_task(self._beat(engine.worker_id), name="tell that it lives"),
                group.create_task(self._keep_house(), name="keep the house"),
                group.create_task(self._steadily("announcing", announcing), name="announce what happened"),
                group.create_task(self._steadily("purging", self._purge), name="erase purged workspaces"),
                group.create_task(self._steadily("deploying", self._deploy), name="deploy templates"),
                group.create_task(self._steadily("sealing", sealer.round, _SEAL_SECONDS), name="seal the audit log"),
                group.create_task(self._steadily("sealing ledgers", ledgers.round), name="seal the ledgers"),
                group.create_task(
                    self._steadily("making statements", self._make_statements, _STATEMENT_SECONDS),
                    name="make statements",
                ),
                group.create_task(self._steadily("sending mail", self._send_mail), name="send mail"),
                group.create_task(self._steadily("ending credits", self._expire), name="end grants and holds"),
                group.create_task(
                    self._steadily("beginning cycles", self._begin_cycles, _CYCLE_SECONDS), name="cycles"
                ),
                group.create_task(
                    self._steadily("keeping months", self._keep_months, _CLEAN_SECONDS), name="keep months"
                ),
            ]
            await stopping.wait()
            engine.stop()
            await carrying_out
            await end_all(others)
        await self._leave(engine.worker_id)
        _log.info("worker.left", worker=engine.worker_id)

    def _engine(self) -> Worker:
        options = self._options
        publishers = Publishers(options.published, self._client)
        means = Means(self.database, self._writers, publishers, options.masters, options.approval_seconds)
        execution = RunExecution(means)
        engine_options = WorkerOptions(
            options.slots, options.lease_seconds, poll_seconds=options.poll_seconds, drain_seconds=options.drain_seconds
        )
        return Worker(self.database.pool, execution.functions(), engine_options, hooks=execution)

    async def _beat(self, worker_id: str) -> None:
        while True:
            try:
                await self.database.pool.execute(BEAT, worker_id, self._rounds.seconds_since())
            except UNREACHABLE as error:
                _log.warning("worker.beat_missed", error=type(error).__name__)
            await asyncio.sleep(_BEAT_SECONDS)

    async def _steadily(self, what: str, duty: Callable[[], Awaitable[int]], rest: float = _LATER_SECONDS) -> None:
        """Do it again and again: at once while there is more, else after a rest."""
        while True:
            done = 0
            try:
                done = await duty()
            except UNREACHABLE as error:
                _log.warning("worker.stumbled", what=what, error=type(error).__name__)
            except Exception as error:
                _log.exception("worker.stumbled", what=what, error=type(error).__name__)
            if not done:
                await asyncio.sleep(rest)

    async def _send_mail(self) -> int:
        return await send_due(self.database, self._options.mail, f"mail {os.getpid()}")

    async def _deploy(self) -> int:
        return await deploy_due(self.database)

    async def _expire(self) -> int:
        return await expire_due(self.database)

    async def _begin_cycles(self) -> int:
        return await begin_cycles(self.database)

    async def _keep_months(self) -> int:
        return await credits.keep_usage_months(self.database, self._options.usage_months)

    async def _make_statements(self) -> int:
        return await make_statements(self.database)

    async def _purge(self) -> int:
        return await purge_due(self.database, purge_steps(self._options.published))

    async def _leave(self, worker_id: str) -> None:
        try:
            await self.database.pool.execute(LEAVE, worker_id)
        except UNREACHABLE as error:
            _log.warning("worker.left_without_a_word", error=type(error).__name__)

    async def _keep_house(self) -> None:
        while True:
            try:
                await self._forget()
                await erase_due(self.database)
                await verify_due(self.database)
            except UNREACHABLE as error:
                _log.warning("worker.house_not_kept", error=type(error).__name__)
            except Exception as error:
                _log.exception("worker.house_not_kept", error=type(error).__name__)
            await asyncio.sleep(_CLEAN_SECONDS)

    async def _forget(self) -> None:
        """Delete what is past its time, a batch at a time."""
        pool, kept_for = self.database.pool, timedelta(days=self._options.request_log_days)
        while await pool.fetchval(FORGET_ANSWERS, _BATCH) == _BATCH:
            continue
        while await pool.fetchval(FORGET_REQUESTS, kept_for, _BATCH) == _BATCH:
            continue
        while await pool.fetchval(FORGET_WINDOWS, _BATCH) == _BATCH:
            continue
        while await pool.fetchval(FORGET_SESSIONS, sessions.IDLE, _BATCH) == _BATCH:
            continue
        while await forget_mail(self.database, _BATCH) == _BATCH:
            continue
        while await credits.forget_event_ids(self.database, _BATCH) == _BATCH:
            continue
        async with pool.acquire() as connection:
            while await gateway.clean(connection) > 0:
                continue


LIVELY: Final = ("runs.", "posts.")
"""Facts that tell of life in a workspace; what is written with a key is noted where it is served."""


def note_life(activity: Activity, fact: Announcement) -> None:
    """Take note that a workspace is active, when a fact says so."""
    if fact.workspace_id is not None and fact.event.startswith(LIVELY):
        activity.touch(fact.agency_id, fact.workspace_id)


async def work(options: WorkerProcessOptions, *, stop: asyncio.Event | None = None) -> None:
    """Be a background process until SIGTERM or SIGINT (or until `stop`, where the caller minds the signals)."""
    stopping = stop or asyncio.Event()
    if stop is None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await BackgroundProcess(options).run(stopping)
