"""The agency and the rules of its profile and settings: what they may hold, what locks mean."""

import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any, Final

from colonnade.ground.core import checking
from colonnade.ground.core.addresses import read_address, read_network
from colonnade.ground.core.callers import Caller, CallerKind
from colonnade.ground.core.checking import Check, Findings, Rule
from colonnade.ground.core.refusals import Refused

GATES: Final = ("publish", "outreach_send", "indexing_submit")
"""The steps of a run that may wait for a person."""

APPROVAL_DEFAULTS: Final[Mapping[str, str]] = {
    "publish": "require_approval",
    "outreach_send": "require_approval",
    "indexing_submit": "auto",
}
"""What holds where neither workspace nor agency say anything: what the world sees waits for a person."""

SETTING_DEFAULTS: Final[Mapping[str, Any]] = {
    "defaultApprovalPolicy": APPROVAL_DEFAULTS,
    "lockedSettings": [],
    "approvalRules": {},
    "defaultModel": None,
    "creditPool": "agency",
    "creditCycle": {"kind": "month", "anchor": 1},
    "timezone": "UTC",
    "ipAllowlist": [],
    "requireTwoFactor": False,
    "linkLimit": None,
    "rotateAfterDays": None,
    "auditRetentionDays": None,
    "requestLogRetentionDays": None,
}
"""What holds where the agency has set nothing; null: there is no such rule, or the installation's own holds."""

LOCKABLE: Final = (
    "approvalPolicy",
    *(f"approvalPolicy.{gate}" for gate in GATES),
    *("defaultModel", "creditPool", "borrowLimit", "byok", "publishing"),
)
"""The workspace settings that an agency may keep to itself; a lock on `approvalPolicy` locks every gate."""

GOVERNED: Final = frozenset({"defaultApprovalPolicy", "lockedSettings", "approvalRules", "creditPool", "creditCycle"})
"""Settings that decide what workspaces may do or spend: they need the scope `workspaces:govern` besides."""


@dataclass(frozen=True, slots=True)
class Agency:
    """One agency account; a test twin names the live agency that it belongs to."""

    id: str
    live_agency_id: str | None
    name: str
    website: str | None
    branding: Mapping[str, Any]
    settings: Mapping[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def mode(self) -> str:
        """`live` or `test`."""
        return "live" if self.live_agency_id is None else "test"

    def is_locked(self, path: str) -> bool:
        """Whether workspaces may not set this."""
        return is_locked(self.settings, path)

    def admits(self, address: str | None) -> bool:
        """Whether the agency's allowlist lets calls from this address through; no list lets all through."""
        return admits(self.settings.get("ipAllowlist", ()), address)


def is_locked(settings: Mapping[str, Any], path: str) -> bool:
    """Whether an agency with these settings keeps this to itself; a lock on a whole object locks each part of it."""
    locked = settings.get("lockedSettings", ())
    return path in locked or path.partition(".")[0] in locked


def approval_default(settings: Mapping[str, Any], gate: str) -> tuple[str, str]:
    """What the agency's settings say of a gate, and whether that is its own word or the installation's default."""
    own = settings.get("defaultApprovalPolicy", {}).get(gate)
    return (own, "agency") if own else (APPROVAL_DEFAULTS[gate], "default")


def settings_in_force(own: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Every setting of an agency that has set these, and for each path whether it is the agency's or the default."""
    values = {name: own.get(name, default) for name, default in SETTING_DEFAULTS.items()}
    sources = {name: "agency" if name in own else "default" for name in SETTING_DEFAULTS}
    del sources["defaultApprovalPolicy"]
    gates = {gate: approval_default(own, gate) for gate in GATES}
    values["defaultApprovalPolicy"] = {gate: word for gate, (word, _) in gates.items()}
    return values, {**{f"defaultApprovalPolicy.{gate}": source for gate, (_, source) in gates.items()}, **sources}


def admits(networks: Sequence[str], address: str | None) -> bool:
    """Whether one of the networks holds the address; an empty list holds all, and an unknown address is on none."""
    known = read_address(address)
    return not networks or (known is not None and any(known in read_network(network) for network in networks))


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _timezone(value: Any, pointer: str, findings: Findings) -> Any:
    if not isinstance(value, str) or value not in _zones():
        findings.add(pointer, "must be an IANA time zone such as Europe/Berlin")
    return value


timezone: Final = Rule(
    _timezone, {"type": "string", "examples": ["Europe/Berlin"], "description": "An IANA time zone."}
)
"""The name of an IANA time zone."""


def _network(value: Any, pointer: str, findings: Findings) -> Any:
    if not isinstance(value, str):
        findings.add(pointer, "must be an address or a network such as 203.0.113.0/24")
        return value
    try:
        return str(read_network(value.strip()))
    except ValueError as error:
        findings.add(pointer, str(error))
        return value


def _anchor(value: Any, pointer: str, findings: Findings) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 28:
        return value
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        findings.add(pointer, "must be a day of the month from 1 to 28, or a date such as 2026-01-15")
        return value


_ANCHOR: Final = Rule(_anchor, {"type": ["integer", "string"]})
_CYCLE: Final = checking.shape(
    {
        "kind": checking.one_of("month", "rolling"),
        "days": checking.integer(1, 366),
        "anchor": _ANCHOR,
    },
    ["kind"],
)


def _credit_cycle(value: Any, pointer: str, findings: Findings) -> Any:
    cycle = _CYCLE(value, pointer, findings)
    if cycle.get("kind") == "rolling" and "days" not in cycle:
        findings.add(f"{pointer}/days", "is required for a rolling cycle")
    if cycle.get("kind") == "month" and not isinstance(cycle.get("anchor", 1), int):
        findings.add(f"{pointer}/anchor", "must be a day of the month from 1 to 28")
    return cycle


GATE_VALUE: Final = checking.one_of("auto", "require_approval")
APPROVAL_POLICY: Final = checking.shape(dict.fromkeys(GATES, GATE_VALUE))
CREDIT_POOL: Final = checking.one_of("workspace", "agency")
MODEL: Final = checking.text(1, 200)
URL: Final = checking.text(1, 2048, pattern=r"https?://[^\s/@?#]+(?:[/?#]\S*)?", says="must be an http(s) URL")
COLOR: Final = checking.text(4, 7, pattern=r"#(?:[0-9A-Fa-f]{3}){1,2}", says="must be a color such as #1a73e8")
EMAIL: Final = checking.text(3, 320, pattern=r"[^\s@]+@[^\s@]+\.[^\s@]+", says="must be an e-mail address")


def _one_person(value: Any, pointer: str, findings: Findings) -> Any:
    if value != 1 or isinstance(value, bool):
        findings.add(pointer, "must be 1: this version counts one decision; a rule that it could not keep is not taken")
    return value


_ONE_PERSON: Final = Rule(_one_person, {"type": "integer", "minimum": 1, "maximum": 1})

_RULE: Final = checking.shape(
    {
        "people": _ONE_PERSON,
        "timeoutSeconds": checking.integer(60, 366 * 86_400),
        "routedTo": checking.text(1, 255),
        "selfApproval": checking.boolean,
    }
)

SETTINGS: Final = checking.shape(
    {
        "defaultApprovalPolicy": APPROVAL_POLICY,
        "lockedSettings": checking.list_of(checking.one_of(*LOCKABLE), len(LOCKABLE) * 2, distinct=True),
        "approvalRules": checking.shape(dict.fromkeys(GATES, _RULE)),
        "defaultModel": MODEL,
        "creditPool": CREDIT_POOL,
        "creditCycle": Rule(_credit_cycle, _CYCLE.schema),
        "timezone": timezone,
        "ipAllowlist": checking.list_of(Rule(_network, {"type": "string", "description": "CIDR"}), 200, distinct=True),
        "requireTwoFactor": checking.boolean,
        "linkLimit": checking.integer(0, 1_000_000),
        "rotateAfterDays": checking.integer(1, 3650),
        "auditRetentionDays": checking.integer(30, 36_500),
        "requestLogRetentionDays": checking.integer(1, 3650),
    }
)

_PROFILE: Final[dict[str, Check]] = {
    "name": checking.text(1, 255),
    "website": URL,
    "branding": checking.shape({"logoUrl": URL, "primaryColor": COLOR, "supportEmail": EMAIL}),
}
PROFILE: Final = checking.shape(_PROFILE, ["name"])


def checked(check: Check, value: Any) -> dict[str, Any]:
    """The object as it shall be kept, or a refusal that names every bad field."""
    findings = Findings()
    kept: dict[str, Any] = check(value, "", findings)
    findings.refuse_if_any()
    return kept


def refuse_lock_out(settings: Mapping[str, Any], caller: Caller) -> None:
    """Nobody may write an allowlist that they themselves are not on; the operator calls from the machine itself."""
    if caller.kind is not CallerKind.OPERATOR and not admits(settings.get("ipAllowlist", ()), caller.address):
        shown = caller.address or "(unknown)"
        raise Refused(
            "settings.locks_out",
            f"Your own address {shown} is not on this allowlist; you would lock yourself out. Add it to the list.",
            details={"address": caller.address},
        )


def refuse_without_factor(caller: Caller) -> None:
    """Nobody may ask everybody for a second factor who has none themselves."""
    if caller.two_factor == "off":
        raise Refused(
            "settings.locks_out",
            "You have no second factor yourself and would lock yourself out; set one up first: POST /v1/me/totp.",
        )
