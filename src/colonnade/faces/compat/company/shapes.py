"""The company surface on the wire: what is sent, what is shown, and how a refusal looks there."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import Field

from colonnade.ground.core import checking
from colonnade.ground.core.checking import Findings
from colonnade.ground.core.refusals import FieldError, Kind, Refused
from colonnade.ground.web import Body, ErrorShape, Instant, Name, Shown, examples
from colonnade.ground.web.checked import CheckedBody
from colonnade.ground.web.problems import STATUS
from colonnade.tenancy import agencies, workspaces
from colonnade.tenancy.keys import Key, Minted
from colonnade.tenancy.workspaces import Brief, Workspace

PREFIX: Final = "/company/"


_NEW: Final = checking.shape(
    {
        "name": checking.text(1, 255),
        "slug": workspaces.SLUG,
        "timezone": agencies.timezone,
        "userIds": checking.list_of(checking.text(1, 64), 100, distinct=True),
    },
    ["name", "slug", "timezone"],
)


class AddWorkspace(CheckedBody):
    """A new workspace of the company; `userIds` are members who shall work in it."""

    model_config = examples({"name": "Acme Bikes", "slug": "acme-bikes-hq", "timezone": "Europe/Berlin"})
    rule = _NEW

    def read(self) -> tuple[dict[str, Any], list[str]]:
        """The workspace in the words of the house, and who shall work in it; every bad field is named at once."""
        findings = Findings()
        kept: dict[str, Any] = _NEW(self.sent_json(), "", findings)
        findings.refuse_if_any()
        return kept, kept.pop("userIds", [])


class AddKey(Body):
    """A new key of a workspace."""

    model_config = examples({"name": "Website"})
    name: Name


class CompanyWorkspace(Shown):
    """A workspace as the company surface knows it."""

    id: str
    name: str
    slug: str
    timezone: str
    created_at: Instant

    @classmethod
    def of(cls, workspace: Workspace | Brief) -> "CompanyWorkspace":
        """The workspace as callers of this surface read it."""
        return cls(
            id=workspace.id,
            name=workspace.name,
            slug=workspace.slug,
            timezone=workspace.timezone,
            created_at=workspace.created_at,
        )


class CompanyWorkspaces(Shown):
    """All workspaces of the company."""

    workspaces: Sequence[CompanyWorkspace]


class CompanyKey(Shown):
    """A key of a workspace; its text is in the answer that made it and nowhere else."""

    id: str
    name: str
    description: str
    hint: str = Field(description="The last four characters of its text.")
    created_at: Instant
    last_used_at: Instant | None
    expires_at: Instant | None

    @classmethod
    def fields_of(cls, key: Key) -> dict[str, Any]:
        """The fields of a key on this surface."""
        return {name: getattr(key, name) for name in CompanyKey.model_fields}

    @classmethod
    def of(cls, key: Key) -> "CompanyKey":
        """The key as callers of this surface read it."""
        return cls(**cls.fields_of(key))


class CompanyKeyMade(CompanyKey):
    """A key together with its text."""

    key: str = Field(repr=False, description="The key itself, for the only time. Keep it well.")

    @classmethod
    def minted(cls, minted: Minted) -> "CompanyKeyMade":
        """The key as its maker reads it once."""
        return cls(**cls.fields_of(minted.key), key=minted.secret.reveal())


class CompanyKeys(Shown):
    """The keys of a workspace that are in use."""

    api_keys: Sequence[CompanyKey]


class Done(Shown):
    """It is done."""

    success: bool


class CompanyErrorData(Shown):
    """What was wrong with single fields."""

    errors: dict[str, list[str]] = Field(description="For each bad field what is wrong with it.")


class CompanyError(Shown):
    """Why a request to the company surface was refused."""

    code: str = Field(description="As `UNAUTHORIZED` or `BAD_REQUEST`.")
    message: str
    data: CompanyErrorData | None = None


def _written(refused: Refused) -> tuple[int, Mapping[str, Any]]:
    code = "INTERNAL_SERVER_ERROR" if refused.kind is Kind.INTERNAL else refused.kind.value
    told: dict[str, Any] = {"code": code, "message": _sentence(refused)}
    if refused.errors:
        told["data"] = {"errors": _by_field(refused.errors)}
    return STATUS[refused.kind], told


def _sentence(refused: Refused) -> str:
    if refused.reason == "request.too_many" and "windowSeconds" in refused.details:
        limit, window = refused.details["limit"], refused.details["windowSeconds"]
        seconds = refused.headers["Retry-After"]
        return f"Rate limit of {limit} requests per {window} seconds exceeded. Quota resets in {seconds} seconds."
    if refused.errors:
        return "Validation failed; see `data.errors`."
    return refused.sentence


def _by_field(errors: Sequence[FieldError]) -> dict[str, list[str]]:
    """By the outermost field; what lies deeper says where in its message."""
    found: dict[str, list[str]] = {}
    for error in errors:
        field, _, inside = error.pointer.lstrip("/?").partition("/")
        found.setdefault(field or "body", []).append(f"{inside}: {error.detail}" if inside else error.detail)
    return found


ERRORS: Final = ErrorShape(CompanyError, _written)
"""How refusals look below `/company/`, those of the door included."""
