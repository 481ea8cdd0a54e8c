"""What a slice offers: every verb asks for its scope first, and every one that writes leaves a record."""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.house.sources import PACKAGE, Function, Source, sources

SLICES: Final = (
    "tenancy/agencies",
    "tenancy/audit",
    "tenancy/keys",
    "tenancy/people",
    "tenancy/sessions",
    "tenancy/workspaces",
    "credits",
    "integrations",
    "brand/content",
    "runs/skills",
    "runs/invocations",
    "runs/approvals",
    "runs/bulk",
    "outbound/templates",
)

ASKS_NOTHING: Final = {
    "tenancy/audit.record": "the caller's own verb has asked",
    "tenancy/people.leave": "everybody may leave, but for the last owner",
    **dict.fromkeys(
        (
            *("tenancy/sessions.start", "tenancy/sessions.own", "tenancy/sessions.page", "tenancy/sessions.end"),
            *("tenancy/sessions.end_others", "tenancy/sessions.rename", "tenancy/sessions.change_password"),
            *("tenancy/sessions.begin_totp", "tenancy/sessions.confirm_totp", "tenancy/sessions.remove_totp"),
            "tenancy/sessions.renew_recovery_codes",
        ),
        "about nobody but the member who calls",
    ),
    "runs/approvals.raise_": "a step of a run, which asked when it began",
    "runs/approvals.expire": "the house's own, when nobody decided in time",
    "runs/approvals.cancel_pending": "part of the end of a run",
}
"""Verbs that take a caller and require no scope of it."""

ASKS_BY_ITS_ACTION: Final = {
    "runs/bulk.start": "the scope is that of the action, which is read first",
    "runs/bulk.plan": "the scope is that of the action, which is read first",
}

RECORDS_NOTHING: Final = {
    "tenancy/workspaces.appoint": "people keep who works where, and record it",
    "tenancy/workspaces.dismiss": "people keep who works where, and record it",
    "runs/approvals.pending_of": "finds what the decision that follows is about",
}
"""Verbs that require a scope beyond reading and leave no record."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A function that a slice offers, with where it stands."""

    slice: str
    source: Source
    function: Function

    @property
    def name(self) -> str:
        return f"{self.slice}.{self.function.name}"

    @property
    def takes_caller(self) -> bool:
        return any(argument.arg == "caller" for argument in self.function.args.args)

    @property
    def body(self) -> list[ast.stmt]:
        """Without the docstring."""
        return self.function.body[1:] if ast.get_docstring(self.function) else self.function.body

    @property
    def scopes(self) -> list[str]:
        """The scopes that its first statements require."""
        return [scope for statement in self.body for scope in _required(statement)]


def _required(statement: ast.stmt) -> Iterator[str]:
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "require":
        yield from (one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str))


@functools.cache
def _of_slice(name: str) -> tuple[Source, ...]:
    return tuple(source for source in sources() if source.path.parent == PACKAGE / name)


@functools.cache
def verbs() -> tuple[Verb, ...]:
    """Every async function that the face of a slice offers."""
    return tuple(verb for name in SLICES for verb in _verbs(name))


def _verbs(name: str) -> Iterator[Verb]:
    offered = {
        alias.name
        for source in _of_slice(name)
        if source.path.name == "__init__.py"
        for node in source.tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for source in _of_slice(name):
        for verb, function in source.verbs():
            if verb in offered and isinstance(function, ast.AsyncFunctionDef):
                yield Verb(name, source, function)


def test_every_slice_is_looked_at() -> None:
    with_service = {
        source.path.parent.relative_to(PACKAGE).as_posix()
        for source in sources()
        if source.name.endswith("/service.py")
    }
    assert with_service | {"credits"} <= set(SLICES)
    assert {verb.slice for verb in verbs()} | {"runs/skills"} == set(SLICES)


def test_a_verb_that_takes_a_caller_first_requires_a_scope_of_it() -> None:
    silent = {verb.name for verb in verbs() if verb.takes_caller and not list(_required(verb.body[0]))}
    assert silent == set(ASKS_NOTHING) | set(ASKS_BY_ITS_ACTION)


def test_a_verb_that_asks_by_its_action_requires_the_actions_scope() -> None:
    actions = next(source for source in sources() if source.name == "runs/bulk/actions.py")
    assert "caller.require(" in actions.text


def test_a_verb_takes_the_transaction_first_and_then_who_acts() -> None:
    for verb in verbs():
        names = [argument.arg for argument in verb.function.args.args]
        if verb.takes_caller:
            assert names[1] == "caller", verb.name
            assert names[0] in {"tx", "database", "till"}, verb.name


def test_a_verb_that_writes_leaves_a_record() -> None:
    writing = [verb for verb in verbs() if any(not scope.endswith(":read") for scope in verb.scopes)]
    assert len(writing) > 20
    unrecorded = {verb.name for verb in writing if not _records(verb)}
    assert unrecorded == set(RECORDS_NOTHING)


def _records(verb: Verb) -> bool:
    """Whether a call of `audit.record` or `audit.record_all` is within reach of it in its own slice."""
    functions = {name.rpartition(".")[2]: one for source in _of_slice(verb.slice) for name, one in source.functions()}
    seen, waiting = {verb.function.name}, [verb.function]
    while waiting:
        for called in _called(waiting.pop()):
            if called in {"audit.record", "audit.record_all"}:
                return True
            name = called.rpartition(".")[2]
            if name in functions and name not in seen:
                seen.add(name)
                waiting.append(functions[name])
    return False


def _called(function: Function) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_a_verb_says_what_it_promises() -> None:
    assert [verb.name for verb in verbs() if not ast.get_docstring(verb.function)] == []
