"""Inheritance: what holds for a workspace, where it comes from, and who may set what."""

from collections.abc import Mapping
from typing import Any, Final

from colonnade.ground.core.callers import Caller, CallerKind
from colonnade.ground.core.refusals import Refused
from colonnade.tenancy.agencies import GATES, Agency, approval_default, is_locked
from colonnade.tenancy.workspaces.model import EffectiveSettings

_GOVERNED: Final = ("approvalPolicy", "creditPool", "borrowLimit")
"""Decides over approvals and money, so it needs `workspaces:govern` and is never a workspace key's to set."""

_PLAIN: Final = ("primaryLocation", "primaryLanguage", "defaultModel", "creditPool", "borrowLimit")
_INHERITED: Final = ("defaultModel", "creditPool")
_DEFAULTS: Final[Mapping[str, Any]] = {"creditPool": "agency"}
_PUBLISHING_DEFAULT: Final = {"kind": "folder"}


def effective(agency: Mapping[str, Any], own: Mapping[str, Any]) -> EffectiveSettings:
    """What holds, of the settings of both: the workspace's unless it is locked, else the agency's, else the default."""
    values: dict[str, Any] = {}
    sources: dict[str, dict[str, Any]] = {}

    has_locks = bool(agency.get("lockedSettings"))

    def settle(path: str, mine: Any, above: Any, default: Any) -> Any:
        locked = has_locks and is_locked(agency, path)
        source, value = ("default", default) if above is None else ("agency", above)
        if mine is not None and not locked:
            source, value = "workspace", mine
        sources[path] = {"source": source, "locked": locked}
        return value

    for name in _PLAIN:
        above = agency.get(name) if name in _INHERITED else None
        values[name] = settle(name, own.get(name), above, _DEFAULTS.get(name))
    policy = own.get("approvalPolicy", {})
    values["approvalPolicy"] = {}
    for gate in GATES:
        word, source = approval_default(agency, gate)
        above, default = (word, None) if source == "agency" else (None, word)
        values["approvalPolicy"][gate] = settle(f"approvalPolicy.{gate}", policy.get(gate), above, default)
    values["byok"] = settle("byok", own.get("byok"), None, {})
    values["publishing"] = settle("publishing", own.get("publishing"), None, _PUBLISHING_DEFAULT)
    return EffectiveSettings(values, sources)


def plain_in_force(agency: Mapping[str, Any], own: Mapping[str, Any], name: str) -> Any:
    """What holds of one plain setting alone."""
    mine, above = own.get(name), agency.get(name) if name in _INHERITED else None
    if mine is not None and not is_locked(agency, name):
        return mine
    return _DEFAULTS.get(name) if above is None else above


def leaves(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings by path: gates one by one, everything else whole."""
    plain = {name: value for name, value in settings.items() if name != "approvalPolicy"}
    return {**plain, **{f"approvalPolicy.{gate}": word for gate, word in settings.get("approvalPolicy", {}).items()}}


def newly_byok(before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[str]:
    """The providers that are switched to an own key by this change."""
    old, new = before.get("byok", {}), after.get("byok", {})
    return frozenset(provider for provider, wanted in new.items() if wanted and not old.get(provider))


def require_settable(caller: Caller, agency: Agency, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Refuse a change of settings that the caller may not make or that the agency has locked.

    Taking an own value back is always allowed by a lock: the agency's value holds anyway.
    """
    old, new = leaves(before), leaves(after)
    changed = [path for path in {**old, **new} if old.get(path) != new.get(path)]
    if any(map(is_governed, changed)):
        require_govern(caller)
    locked = sorted(path for path in changed if path in new and agency.is_locked(path))
    if locked:
        raise Refused(
            "settings.locked",
            f"The agency has locked {', '.join(f'`{path}`' for path in locked)}; leave it out or take the lock off.",
            details={"settings": locked},
        )


def is_governed(path: str) -> bool:
    """Whether this setting decides over approvals or money."""
    return path.partition(".")[0] in _GOVERNED


def require_govern(caller: Caller) -> None:
    """What an agency decides over a workspace is never set with a workspace's own key."""
    caller.require("workspaces:govern")
    if caller.kind is CallerKind.WORKSPACE_KEY:
        raise Refused("keys.wrong_kind", "A workspace key cannot set this; use an agency key.")
