"""Who calls: the typed caller that every service verb asks, and the reach that a transaction is opened with."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import reduce
from typing import Literal

from colonnade.ground.core.refusals import Refused


class CallerKind(Enum):
    """What stands behind a call."""

    AGENCY_KEY = "agency_key"
    WORKSPACE_KEY = "workspace_key"
    MEMBER = "member"
    RUN = "run"
    OPERATOR = "operator"
    NOBODY = "nobody"
    """Somebody who has not proven who they are: only to be written down."""


TwoFactor = Literal["enrolled", "required", "off"]
"""What a member's session has of a second factor: begun with one, lacking one that the agency wants, or without."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a transaction may see: one agency, and in it all workspaces (`None`) or exactly these."""

    agency_id: str
    workspace_ids: tuple[str, ...] | None = None

    def includes(self, workspace_id: str) -> bool:
        """Whether this workspace lies inside; existence is the database's to say."""
        return self.workspace_ids is None or workspace_id in self.workspace_ids


@dataclass(frozen=True, slots=True)
class Caller:
    """A credential turned into who acts, where and with which scopes; it never comes from a body."""

    kind: CallerKind
    reach: Reach
    scopes: frozenset[str]
    actor_id: str
    """The key, member or invocation that acts; `operator` for commands on the machine itself."""
    actor_name: str
    request_id: str
    """The request that it acts in; empty of a credential that is kept for more than one."""
    address: str | None = None
    mode: str = "live"
    workspace_id: str | None = None
    """The one workspace that this call is about, once it is known."""
    scopes_in: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)
    """Of a member: what they hold in single workspaces, where that is not just what they hold in the agency."""
    session_id: str | None = None
    two_factor: TwoFactor | None = None

    @property
    def agency_id(self) -> str:
        """The agency; every transaction of this caller is bound to it."""
        return self.reach.agency_id

    @property
    def is_agency_wide(self) -> bool:
        """Whether the credential is one of the agency rather than of a single workspace."""
        return self.kind is not CallerKind.WORKSPACE_KEY

    def holds(self, scope: str) -> bool:
        """Whether the caller holds the scope."""
        return scope in self.scopes

    def require(self, scope: str) -> None:
        """Refuse unless the caller holds the scope; the refusal names it."""
        if scope not in self.scopes:
            raise Refused(
                "keys.scope_missing",
                f"This needs the scope `{scope}`, which the {self._noun} does not hold.",
                details={"scope": scope},
            )

    def require_all(self, scopes: frozenset[str]) -> None:
        """Refuse handing on scopes that the caller lacks; the refusal names them."""
        lacking = sorted(scopes - self.scopes)
        if lacking:
            raise Refused(
                "keys.scope_not_held",
                f"The maker does not hold {', '.join(f'`{name}`' for name in lacking)}.",
                details={"scopes": lacking},
            )

    def on_request(self, request_id: str, address: str | None) -> "Caller":
        """The same caller, acting in this request, which came from there."""
        return replace(self, request_id=request_id, address=address)

    def within(self, workspace_id: str) -> "Caller":
        """The same caller, seeing one workspace only, with what it holds there."""
        held = self.scopes_in.get(workspace_id, self.scopes)
        return replace(self, reach=Reach(self.agency_id, (workspace_id,)), scopes=held, workspace_id=workspace_id)

    def where_it_holds(self, scope: str | None, *, in_agency: bool) -> "Caller":
        """The same caller, seeing just the workspaces in which it holds the scope, with what it holds in all of them.

        Only a member can hold different scopes in different workspaces. What is about the agency itself (`in_agency`)
        goes by the role there: an assignment to workspaces lends it nothing.
        """
        everywhere = self.reach.workspace_ids is None
        if self.kind is not CallerKind.MEMBER or (everywhere and (in_agency or scope is None or self.holds(scope))):
            return self
        held = {one: scopes for one, scopes in self.scopes_in.items() if scope is None or scope in scopes}
        if not held:
            return replace(self, reach=Reach(self.agency_id, ()))
        in_all = reduce(frozenset.intersection, held.values(), self.scopes if in_agency else next(iter(held.values())))
        return replace(self, reach=Reach(self.agency_id, tuple(sorted(held))), scopes=in_all)

    def the_workspace(self) -> str:
        """The workspace that the call is about; refuses when nothing in the request names it."""
        if self.workspace_id is None:
            raise Refused(
                "workspace.required",
                "An agency key acts on workspace data here: name the workspace with the `X-Workspace-Id` header.",
            )
        return self.workspace_id

    @property
    def _noun(self) -> str:
        return "role" if self.kind is CallerKind.MEMBER else "key"
