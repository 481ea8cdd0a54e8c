"""Writes what the manual lists from the code that it is about: settings, commands, scopes, errors, events.

A test compares these pages with what this would write, so none of them is ever edited by hand.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from typer.main import get_command

from colonnade.cli import main as command_line
from colonnade.ground.core.events import EVENTS
from colonnade.ground.core.ids import PREFIXES
from colonnade.ground.core.reasons import REASONS
from colonnade.ground.core.refusals import Kind
from colonnade.ground.core.scopes import AGENCY_SCOPES, PRESETS, ROLES, SCOPES, WORKSPACE_SCOPES
from colonnade.ground.web.problems import STATUS
from colonnade.settings import PREFIX, Settings

FOLDER: Final = Path(__file__).parents[1] / "docs" / "reference"
_MADE: Final = "<!-- Written by `make docs` from the code; change it there. -->"


def pages() -> dict[str, str]:
    """Every page by its file name."""
    return {
        "settings.md": _page("Settings", _settings()),
        "commands.md": _page("Commands", _commands()),
        "scopes.md": _page("Scopes, presets and roles", _scopes()),
        "errors.md": _page("Errors", _errors()),
        "events.md": _page("Events and ids", _events()),
    }


def _page(title: str, lines: Iterator[str]) -> str:
    return "\n".join([f"# {title}", "", _MADE, "", *lines]).rstrip() + "\n"


def _table(*header: str) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"


def _settings() -> Iterator[str]:
    yield "Environment variables, read when a process starts. An empty one counts as not set. A bad one ends the"
    yield "process with exit code 2 and a sentence that names it."
    yield ""
    yield from _table("Setting", "Usual", "Meaning")
    for name, field in Settings.model_fields.items():
        yield _row(f"`{PREFIX}{name.upper()}`", _usual(field), field.description or "")


def _usual(field: FieldInfo) -> str:
    if field.default is None:
        return "—"
    value = field.default
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    return f"`{value}`" if str(value) else "empty"


def _commands() -> Iterator[str]:
    yield "`make up` runs `colonnade up`. Exit codes: 0 done, 1 could not be done, 2 wrong words or settings. With"
    yield "`--json` the answer is one JSON document on standard output; everything else is said on standard error."
    yield "Commands use the database that `colonnade up` runs, and start it themselves where it does not run."
    yield ""
    yield from _command(get_command(command_line), "colonnade")


def _command(command: Any, name: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for word, inner in command.commands.items():
            yield from _command(inner, f"{name} {word}")
        return
    shown = [one for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
    arguments = " ".join(one.name.upper() for one in shown if one.param_type_name == "argument")
    yield f"## `{name}{' ' + arguments if arguments else ''}`"
    yield ""
    yield " ".join((command.help or "").split())
    yield ""
    if shown:
        yield from _table("Word", "Meaning")
        yield from (_parameter(one) for one in shown)
        yield ""


def _parameter(one: Any) -> str:
    is_argument = one.param_type_name == "argument"
    words = f"`{one.name.upper()}`" if is_argument else ", ".join(f"`{word}`" for word in _words(one))
    needed = "" if is_argument or not one.required else " Required."
    return _row(words, (one.help or "") + needed)


def _words(one: Any) -> list[str]:
    return [*one.opts, *one.secondary_opts]


def _scopes() -> Iterator[str]:
    yield "What a credential may do. A key of a workspace can hold those marked so; a key of the agency can hold all."
    yield ""
    yield from _table("Scope", "Allows", "Workspace key")
    for scope, meaning in SCOPES.items():
        yield _row(f"`{scope}`", meaning, "yes" if scope in WORKSPACE_SCOPES else "")
    yield from _sets("Presets", "Named sets for new keys.", PRESETS)
    yield from _sets("Roles", "What members of an agency may do.", ROLES)


def _sets(title: str, what: str, sets: dict[str, frozenset[str]]) -> Iterator[str]:
    yield from ("", f"## {title}", "", what, "")
    yield from _table("Name", "Scopes")
    for name, scopes in sets.items():
        lacking = AGENCY_SCOPES - scopes
        few = f"all but {_listed(lacking)}" if 0 < len(lacking) < 4 else _listed(scopes)
        yield _row(f"`{name}`", few if lacking else "all")


def _listed(scopes: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(scopes))


def _errors() -> Iterator[str]:
    yield "Every refusal is a problem document (RFC 9457) with a `code`, a `reason` of this list and a sentence."
    yield ""
    for name, reason in REASONS.items():
        status = STATUS[Kind(reason.kind)]
        yield from (f"## `{name}`", "", f"**{reason.title}** — {status} `{reason.kind}`", "")
        yield from (f"{reason.meaning} {reason.way_out}", "")


def _events() -> Iterator[str]:
    yield "What the audit log and the outbox can say happened."
    yield ""
    yield from _table("Event", "Meaning")
    for event, meaning in EVENTS.items():
        yield _row(f"`{event}`", meaning)
    yield from ("", "## Ids", "", "A prefix tells the noun; the rest sorts by time.", "")
    yield from _table("Prefix", "Noun")
    for prefix, noun in PREFIXES.items():
        yield _row(f"`{prefix}_`", noun)


def main() -> None:
    """Write the pages; those that are right already are left alone."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        path = FOLDER / name
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
            sys.stdout.write(f"Wrote {path.relative_to(FOLDER.parents[1])}\n")


if __name__ == "__main__":
    main()
