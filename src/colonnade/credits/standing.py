"""Opening an agency's credits: how they stand, locked for those who decide and unlocked for those who look."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from colonnade.credits import cycles, standing_store, tally_store
from colonnade.credits.counting import borrow_subject, subjects
from colonnade.credits.cycles import CycleRule
from colonnade.credits.model import AGENCY_POOL_ID, AccountKind, Cycle, Source, account_id
from colonnade.credits.rules import Standing, WorkspaceTerms
from colonnade.ground.core.amounts import ZERO, from_decimal
from colonnade.ground.db.database import Tx
from colonnade.tenancy import workspaces


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody is about to decide or to look at.

    References are pairs of source and reference. The workspaces of holds need no naming; grants are those that credits
    may go back to though they are spent.
    """

    workspaces: Collection[str] = ()
    features: Collection[str] = ()
    keys: Collection[str] = ()
    references: Collection[tuple[str, str]] = ()
    holds: Collection[str] = ()
    grants: Collection[str] = ()

    def subjects(self) -> list[str]:
        """Every tally that may be compared with a limit, besides those of the agency and of the workspaces whole."""
        names = {AGENCY_POOL_ID}
        for workspace_id in self.workspaces:
            own = account_id(AccountKind.POOL, workspace_id)
            names |= {own, borrow_subject(workspace_id), *subjects(workspace_id, self.features, None)}
        for key_id in self.keys:
            names |= {key_id, *(f"{key_id}#{feature}" for feature in self.features)}
        return sorted(names)


@dataclass(frozen=True, slots=True)
class _Settings:
    """The settings of an agency or of a workspace, as they were in a version."""

    version: int
    values: Mapping[str, Any]


_MOST_REMEMBERED: Final = 50_000
_remembered: Final[dict[str, _Settings]] = {}
"""Settings by agency or workspace. Nothing is decided by them unless the database says that the version still holds."""


async def open_standing(tx: Tx, wanted: Wanted, *, locking: bool) -> Standing:
    """How the agency's credits stand. With locks nobody else decides until the transaction ends.

    Lots whose time is over are taken out of the pools; a transaction that writes has to enter them as expired. Whoever
    decides needs the whole agency in reach; of what is out of reach nothing is told.
    """
    known = {name: _remembered[name] for name in (tx.agency_id, *wanted.workspaces) if name in _remembered}
    asked = _asked(wanted, known)
    found = await standing_store.open_credits(tx, asked, locking=locking)
    tx.began(standing_store.instant(found["now"]))
    settings = _settings(found["terms"] or (), known)
    at = standing_store.instant(found["at"])
    cycle = None if found["cycle"] is None else standing_store.cycle(found["cycle"])
    if cycle is None or cycle.ends_at <= at:
        cycle = await _begin(tx, settings[tx.agency_id], cycle, at, locking=locking)
        found = await standing_store.open_credits(tx, asked, locking=True) if locking else {**found, "tallies": None}
    return _standing(tx, found, cycle, settings, is_locked=locking)


def _asked(wanted: Wanted, known: Mapping[str, _Settings]) -> standing_store.Asked:
    return standing_store.Asked(
        workspaces=sorted(wanted.workspaces),
        keys=sorted(wanted.keys),
        subjects=wanted.subjects(),
        references=sorted(wanted.references),
        holds=sorted(wanted.holds),
        grants=sorted(wanted.grants),
        known={name: one.version for name, one in known.items()},
    )


def _settings(
    told: Collection[tuple[str, int, bool, Mapping[str, Any] | None]], known: Mapping[str, _Settings]
) -> dict[str, Mapping[str, Any]]:
    """The settings of all that were told of, the known ones where the database says that they still hold."""
    if len(_remembered) + len(told) > _MOST_REMEMBERED:
        _remembered.clear()
    found: dict[str, Mapping[str, Any]] = {}
    for name, version, _, values in told:
        if values is not None:
            _remembered[name] = _Settings(version, values)
        found[name] = known[name].values if values is None else values
    return found


async def _begin(tx: Tx, agency: Mapping[str, Any], last: Cycle | None, at: datetime, *, locking: bool) -> Cycle:
    """The cycle of now where none is kept yet; whoever decides keeps it for ever."""
    rule, zone = CycleRule.of(agency.get("creditCycle")), _zone(agency)
    cycle = cycles.following(rule, zone, last, at)
    if locking:
        await tally_store.add_cycle(tx, cycle, rule.to_json(), zone.key)
    return cycle


def _standing(
    tx: Tx, found: Mapping[str, Any], cycle: Cycle, settings: Mapping[str, Mapping[str, Any]], *, is_locked: bool
) -> Standing:
    at = standing_store.instant(found["at"])
    pools = standing_store.pools(found["lots"])
    agency = settings[tx.agency_id]
    gone = {name for name, _, is_gone, _ in found["terms"] or () if is_gone}
    own = {name: values for name, values in settings.items() if name != tx.agency_id}
    standing = Standing(
        at=at,
        cycle=cycle,
        zone=_zone(agency),
        rule=CycleRule.of(agency.get("creditCycle")),
        pools=pools,
        tallies=standing_store.tallies(found["tallies"]),
        caps=standing_store.caps(found["caps"]),
        terms={name: replace(terms_of(agency, values), is_archived=name in gone) for name, values in own.items()},
        accounts=standing_store.accounts(found["accounts"]),
        expired={name: draws for name, pool in pools.items() if (draws := pool.expire(at))},
        known={(row["source"], row["reference"]): row for row in found["known"] or ()},
        draws=standing_store.draws(found["hold_lots"]),
        alerts=standing_store.alerts(found["alerts"]),
        price_version=found["price_version"],
        now=standing_store.instant(found["now"]),
        is_locked=is_locked,
    )
    for told in found["holds"] or ():
        standing.keep(standing_store.hold(told))
    return standing


def _zone(agency: Mapping[str, Any]) -> ZoneInfo:
    return ZoneInfo(agency.get("timezone", "UTC"))


def terms_of(agency: Mapping[str, Any], own: Mapping[str, Any]) -> WorkspaceTerms:
    """What both settings say about the workspace's credits."""
    limit = workspaces.plain_in_force(agency, own, "borrowLimit")
    source = Source(workspaces.plain_in_force(agency, own, "creditPool"))
    return WorkspaceTerms(source, ZERO if limit is None else from_decimal(limit))
