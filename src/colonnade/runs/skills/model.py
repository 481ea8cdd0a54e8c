"""The nouns of skills: what a skill declares of itself, and what it holds in its hands while it runs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, Self, TypeAlias, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from colonnade.ground.core.callers import Caller
from colonnade.ground.core.refusals import FieldError
from colonnade.ground.db.database import Tx
from colonnade.ground.web import Body
from colonnade.ground.web.problems import from_validation

JsonObject: TypeAlias = dict[str, Any]
StepKind = Literal["model", "tool", "decision", "work"]

_J = TypeVar("_J")


@dataclass(frozen=True, slots=True)
class Brand:
    """The brand as it was when the run began; what happens to the workspace meanwhile does not change a run."""

    name: str
    slug: str
    primary_domain: str | None
    industry: str | None
    profile: Mapping[str, Any]

    def to_json(self) -> JsonObject:
        """How it lies in the run's context."""
        return asdict(self)

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Self:
        """The same read back."""
        return cls(**kept)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of the profile as plain texts; an entry that is an object is told by its values."""
        return tuple(_as_text(entry) for entry in self.profile.get(name, ()))


def _as_text(entry: Any) -> str:
    if isinstance(entry, Mapping):
        return ", ".join(_as_text(value) for value in entry.values())
    if isinstance(entry, list):
        return ", ".join(map(_as_text, entry))
    return str(entry)


@dataclass(frozen=True, slots=True)
class Article:
    """What a writer wrote for a run, and by which model."""

    title: str
    slug: str
    outline: tuple[str, ...]
    body: str
    meta_description: str
    model: str


@dataclass(frozen=True, slots=True)
class PublishedPost:
    """Where a post came out."""

    post_id: str
    url: str


@dataclass(frozen=True, slots=True)
class Decision:
    """How a gate was passed or not. `version` is what may be acted on, and only when it is approved."""

    status: Literal["APPROVED", "REJECTED", "EXPIRED"]
    version: JsonObject
    edits: JsonObject | None = None
    reason: str | None = None
    by: str | None = None
    """Who decided; none when the policy let it pass or nobody decided in time."""

    @property
    def approved(self) -> bool:
        """Whether the run may go on."""
        return self.status == "APPROVED"

    @property
    def expired(self) -> bool:
        """Whether nobody decided in time."""
        return self.status == "EXPIRED"


class StoppedByDecision(Exception):
    """Raised by a skill when it ends because a person said no, or nobody said yes in time: no failure of the run."""

    def __init__(self, decision: Decision, result: JsonObject) -> None:
        super().__init__(decision.status)
        self.decision = decision
        self.result = result


class RunContext(Protocol):
    """What a skill sees of its run. Whatever it does outside of steps is done again when the run is resumed."""

    @property
    def run_id(self) -> str: ...

    @property
    def workspace_id(self) -> str: ...

    @property
    def input(self) -> JsonObject:
        """What was asked for, checked by the skill's own model, under its wire names."""
        ...

    @property
    def brand(self) -> Brand: ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """The workspace's effective settings when the run began."""
        ...

    @property
    def policy(self) -> Mapping[str, str]:
        """What holds at each gate for this very run."""
        ...

    async def step(
        self,
        name: str,
        kind: StepKind,
        summary: str,
        fn: Callable[[], Awaitable[_J]],
        *,
        facts: Callable[[_J], JsonObject] = ...,
    ) -> _J:
        """Do it once in the life of the run, keep what it returned, show it. For work that speaks to the outside."""
        ...

    async def command(self, name: str, summary: str, fn: Callable[[Tx, Caller], Awaitable[_J]]) -> _J:
        """The same for work in our own tables: one transaction holds the work and the step that shows it."""
        ...

    async def write_article(
        self, step: str, *, topic: str | None, keyword: str | None, instructions: str | None
    ) -> Article:
        """An article by the model that the workspace wants, as a step; a `generation` is used."""
        ...

    async def approve(self, gate: str, *, step: str, preview: JsonObject, reason: str) -> Decision:
        """Ask for leave to pass a gate. At once when the policy says so; else the run is parked until the decision."""
        ...

    async def use(self, step: str, feature: str, *, quantity: int = 1, model: str | None = None) -> None:
        """Something that costs was used in this step; told again, it is counted once."""
        ...

    async def publish(self, step: str, *, post_id: str, revision: int) -> PublishedPost:
        """Bring this revision of an approved post to where the workspace publishes; a `publish` is used."""
        ...

    def key(self, step: str) -> str:
        """The key under which the outside sees this step's effect, the same however often it is tried."""
        ...


Run = Callable[[RunContext], Awaitable[JsonObject]]
CheckEdits = Callable[[Mapping[str, Any], Any], list[FieldError]]
LetGo = Callable[[Tx, Caller, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Skill:
    """One thing that the agent can do. A changed meaning of its input or its steps is a new version."""

    slug: str
    name: str
    description: str
    version: int
    input_model: type[Body]
    gates: tuple[str, ...]
    features: Mapping[str, int]
    """The most that a run may use of each feature: what its hold is made of."""
    seconds: int
    """About how long a run takes, waiting for people aside."""
    run: Run
    check_edits: CheckEdits
    """What is wrong with an approver's edits of a preview, by JSON Pointer into the edits."""
    let_go: LetGo
    """Frees what a run (its id) kept for itself, in the transaction that cancels or fails it."""
    always_asks: frozenset[str] = field(default=frozenset())
    """Gates at which this skill wants a person whatever the policy says."""

    @property
    def feature(self) -> str:
        """The feature that stands for the whole run where there is room for one."""
        return next(iter(self.features))

    def read_input(self, sent: Any, *, at: Sequence[str] = ("input",)) -> JsonObject:
        """The input under its wire names, or a refusal that names every bad field, under `/input` or another place."""
        try:
            read = self.input_model.model_validate(sent)
        except ValidationError as error:
            found = [{**one, "loc": ("body", *at, *one["loc"])} for one in error.errors()]
            raise from_validation(RequestValidationError(found, body=_nested(sent, at))) from error
        return read.sent_json()

    def input_schema(self) -> JsonObject:
        """The JSON Schema of its input."""
        return self.input_model.model_json_schema(by_alias=True)


def _nested(value: Any, names: Sequence[str]) -> Any:
    for name in reversed(names):
        value = {name: value}
    return value
