"""Wires the HTTP application: mounts every slice's routes, turns a credential into a caller, lists the includes."""

import contextlib
import functools
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import version
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp

from colonnade import credits, integrations, isolation
from colonnade.brand.content import routes as content_routes
from colonnade.credits import routes as credits_routes
from colonnade.faces import account, docs, logos, status
from colonnade.faces.compat import company
from colonnade.faces.compat.company import routes as company_routes
from colonnade.faces.status import Check, Metrics
from colonnade.ground.db.address import Address
from colonnade.ground.db.batches import BatchWriter
from colonnade.ground.db.database import Database
from colonnade.ground.db.migrating import migrations
from colonnade.ground.outgoing import AllowList, OutgoingClient
from colonnade.ground.web import House
from colonnade.ground.web.applications import assemble, body_limit
from colonnade.ground.web.doorway import API_PATHS, Doorway
from colonnade.ground.web.envelope import MOST_BYTES, Envelope, EnvelopeOptions
from colonnade.ground.web.openapi import make_document
from colonnade.ground.web.problems import ErrorShapes
from colonnade.ground.web.visits import Visit
from colonnade.installation import APP, direct_address_of
from colonnade.integrations import routes as integrations_routes
from colonnade.outbound import mail, templates
from colonnade.outbound.templates import routes as templates_routes
from colonnade.runs import bulk, invocations
from colonnade.runs.approvals import routes as approvals_routes
from colonnade.runs.bulk import routes as bulk_routes
from colonnade.runs.invocations import routes as invocations_routes
from colonnade.settings import Settings, masters_of, pepper_of, report_key_of
from colonnade.tenancy import agencies, keys, sessions, workspaces
from colonnade.tenancy.agencies import routes as agencies_routes
from colonnade.tenancy.audit import routes as audit_routes
from colonnade.tenancy.keys import KeyKeeper, PartnerKeys
from colonnade.tenancy.keys import routes as keys_routes
from colonnade.tenancy.people import Estate
from colonnade.tenancy.people import routes as people_routes
from colonnade.tenancy.sessions import me_routes
from colonnade.tenancy.sessions import routes as sessions_routes
from colonnade.tenancy.workspaces import member_routes
from colonnade.tenancy.workspaces import routes as workspaces_routes

WRITES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})

ERROR_SHAPES: Final[ErrorShapes] = {company.PREFIX: company.ERRORS}
"""Paths on which refusals look as another product's callers expect them."""

DESCRIPTION: Final = """
One API for all client brands of an agency. Send your key as `Authorization: Bearer KEY` or `X-Auth: KEY`.

Bodies are JSON whatever the content type says. Every refusal is a problem document (RFC 9457) with a `code`, a
`reason` of a closed list, and an entry in `errors` for every bad field. Lists are pages with a `cursor`. Every write
takes an `Idempotency-Key`.
"""


class Server:
    """Everything that one HTTP process holds; opened and closed with it."""

    def __init__(self, settings: Settings, address: Address) -> None:
        self.settings = settings
        self.database = Database(
            address,
            APP,
            pepper_of(settings),
            most_connections=settings.database_connections,
            through_pooler=settings.database_pooled,
        )
        self.keeper = KeyKeeper(self.database, direct=self._direct())
        cookie = sessions.Cookie.of(settings.public_url)
        limiter = self.keeper.limiter
        self.sessions = sessions.SessionKeeper(self.database, limiter, cookie, direct=self._direct())
        self.desk = sessions.Desk(sessions.Entrance(self.database, limiter, masters_of(settings)), cookie)
        self.outgoing = OutgoingClient(AllowList.parse(settings.outbound_allow))
        self.activity = workspaces.Activity(self.database)
        self.house = House(self.database, workspaces.WorkspaceFinder(self.database).find)
        self.reader = workspaces.WorkspaceReader(self.database)
        self.till = credits.open_till(self.database)
        self.metrics = Metrics()
        self.log: BatchWriter[dict[str, Any]] = BatchWriter("request log", self._write_log)

    def _direct(self) -> Database | None:
        """A way around the pooler, for listening; none where there is no pooler."""
        if not self.settings.database_pooled:
            return None
        return Database(direct_address_of(self.settings), APP, self.database.pepper)

    async def open(self) -> None:
        """Connect and begin to listen."""
        await self.database.open()
        await self.keeper.start()
        await self.sessions.start()

    async def close(self) -> None:
        """Settle what waits, write what is noted and disconnect."""
        await self.till.close()
        await self.desk.entrance.close()
        await self.sessions.close()
        await self.keeper.close()
        await self.reader.close()
        await self.activity.close()
        await self.log.close()
        await self.database.close()

    def note(self, visit: Visit) -> None:
        """Take note of a request that has been answered."""
        self.metrics.count(visit)
        if visit.path.startswith(API_PATHS):
            self.log.add(visit.log_entry())
        caller = visit.caller
        if caller is not None and caller.workspace_id and visit.method in WRITES and visit.status < 400:
            self.activity.touch(caller.agency_id, caller.workspace_id)

    async def _write_log(self, entries: Sequence[dict[str, Any]]) -> None:
        await self.database.lookup("select log_requests($1)", list(entries))

    async def database_answers(self) -> Check:
        """Whether a statement comes back, and whether the schema is the one of this version."""
        rows = await self.database.lookup("select max(number) as number from migration")
        newest = migrations()[-1].number
        found = rows[0]["number"]
        return Check(found == newest, "answers" if found == newest else f"has migration {found}, wanted is {newest}")

    async def charges_are_settled(self) -> Check:
        """Whether charges that wait are settled soon."""
        state = self.till.state()
        says = f"{state.waiting} wait, the oldest for {state.oldest_seconds:.1f} s"
        failing = f"; not settled for {state.failing_seconds:.0f} s" if state.failing_seconds else ""
        return Check(not state.failing_seconds, says + failing)

    async def keys_are_heard(self) -> Check:
        """Whether changes of keys reach this process; without that it asks the database each time."""
        listening = self.keeper.ring.is_listening
        return Check(ok=True, says="listening" if listening else "not listening; every key is looked up afresh")

    async def log_is_sealed(self) -> Check:
        """Whether what is recorded is sealed soon; a log that was found changed is told, and keeps nobody out."""
        row = (await self.database.lookup("select * from seal_lag()"))[0]
        says = f"{row['unsealed']} entries wait for their seal, the oldest for {row['oldest_seconds']:.1f} s"
        broken = f"; {row['broken']} logs were found changed, see `colonnade audit verify --all`"
        return Check(row["oldest_seconds"] < WORKERS_LATE_SECONDS, says + (broken if row["broken"] else ""))

    async def ledger_is_sealed(self) -> Check:
        """How much of the ledger waits for its seal; an account that was found changed keeps nobody out."""
        row = (await self.database.lookup("select * from ledger_lag()"))[0]
        says = f"{row['accounts']} accounts wait for their seal, the oldest for {row['oldest_seconds']:.1f} s"
        return Check(ok=True, says=says)

    async def credits_end_in_time(self) -> Check:
        """Whether grants and holds end soon after their time; till then nothing is drawn from the one or the other."""
        row = (await self.database.lookup("select * from credits_lag()"))[0]
        says = f"{row['due']} grants and holds are past their time, the oldest for {row['oldest_seconds']:.1f} s"
        return Check(row["oldest_seconds"] < WORKERS_LATE_SECONDS, says)

    async def workers_follow(self) -> Check:
        """Whether a background process is alive; without one runs wait, while everything else is served."""
        row = (await self.database.lookup(WORKERS_STATE))[0]
        if not row["alive"]:
            return Check(ok=False, says="no background process has told of itself lately; runs wait for one")
        waiting = f"{row['pending']} runs wait to begin, the oldest for {row['oldest_seconds']:.0f} s"
        return Check(ok=row["oldest_seconds"] < WORKERS_LATE_SECONDS, says=waiting)


ESTATE: Final = Estate(workspaces.hand_over, keys.standing_made_by, keys.revoke_made_by, keys.narrow_made_by)
"""What becomes of the workspaces and keys of a member who leaves, or whose role changes."""

WORKERS_STATE: Final = """
select (select count(*) from worker_heartbeat where at > now() - interval '30 seconds') > 0 as alive, l.*
from runs_lag() l
"""
WORKERS_LATE_SECONDS: Final = 900


def routers() -> list[APIRouter]:
    """Every slice's routes; the bulk action's fixed paths stand before the workspaces' `{id}`."""
    return [
        agencies_routes.routes,
        keys_routes.routes,
        sessions_routes.routes,
        me_routes.routes,
        bulk_routes.routes,
        workspaces_routes.routes,
        people_routes.routes,
        member_routes.routes,
        audit_routes.routes,
        integrations_routes.routes,
        credits_routes.routes,
        content_routes.routes,
        approvals_routes.routes,
        invocations_routes.routes,
        templates_routes.routes,
        company_routes.routes,
    ]


def create(settings: Settings, address: Address) -> ASGIApp:
    """The whole HTTP application of one process; it connects when its lifespan begins."""
    server = Server(settings, address)
    invocations.on_state_change(bulk.follow)
    bulk.offer(templates.NAME, templates.ACTION)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with server.outgoing:
            await server.open()
            yield
            await server.close()

    app = assemble(server.house, routers(), lifespan)
    _tell_slices(app, settings)
    setattr(app.state, workspaces_routes.READER, server.reader)
    setattr(app.state, credits.TILL_STATE, server.till)
    setattr(app.state, sessions.STATE, server.desk)
    setattr(app.state, keys_routes.PARTNER, PartnerKeys(server.outgoing, settings.leak_keys_url))
    account.mount(app, version("colonnade"))
    docs.mount(app, docs.DocsOptions(version("colonnade"), settings.public_url, lambda: document(app)))
    isolation.mount(app, report_key_of(settings))
    logos.mount(app, functools.partial(agencies.find_logo, server.database))
    probes = {
        "database": server.database_answers,
        "charges": server.charges_are_settled,
        "keys": server.keys_are_heard,
        "workers": server.workers_follow,
        "audit log": server.log_is_sealed,
        "credits": server.credits_end_in_time,
        "ledger": server.ledger_is_sealed,
    }
    status.mount(app, probes, server.metrics)
    envelope = EnvelopeOptions(settings.trusted_proxies, body_limit(app, MOST_BYTES), ERROR_SHAPES)
    doorway = Doorway(app, server.keeper, server.sessions, for_anyone=keys_routes.FOR_ANYONE)
    return Envelope(doorway, envelope, server.note)


def _tell_slices(app: FastAPI, settings: Settings) -> None:
    """What routes of one slice need of another, or of the settings: the catalogue of includes above all."""
    includes = {
        "usage": credits.usage_block,
        "health": integrations.health_block,
        "integrations": integrations.integrations_block,
        "templatesApplied": templates.applied_block,
    }
    setattr(app.state, workspaces_routes.INCLUDES, includes)
    setattr(app.state, agencies_routes.PUBLIC_URL, settings.public_url)
    setattr(app.state, workspaces_routes.STORED_KEYS, integrations.stored_keys)
    setattr(app.state, people_routes.ESTATE, ESTATE)
    setattr(app.state, people_routes.MAIL_STATES, mail.states)
    setattr(app.state, workspaces_routes.AT_WORK, invocations.at_work)
    setattr(app.state, workspaces_routes.ADOPT, templates.adopt)
    setattr(app.state, integrations_routes.STATE, masters_of(settings))
    setattr(app.state, keys_routes.FILL_TWIN, credits.fill_twin)
    setattr(app.state, approvals_routes.ENSURE_RUN, invocations.ensure_in_reach)
    setattr(app.state, credits_routes.GRANTS_BY_OPERATOR, settings.grants == "operator")


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of all operations."""
    return make_document(
        app,
        title="Colonnade",
        version=version("colonnade"),
        description=DESCRIPTION.strip(),
        error_shapes=ERROR_SHAPES,
    )
