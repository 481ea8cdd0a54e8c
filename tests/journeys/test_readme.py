"""The README is true: its commands run as they stand, in order, and what it shows is what comes out."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.installation import installation

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BETWEEN = "~~~ the next block ~~~"


@dataclass(slots=True)
class Block:
    """The commands of one block, and the answers that the README shows for them: (`json` or `text`, what is shown)."""

    commands: str
    shown: list[tuple[str, str]] = field(default_factory=list)


def blocks(readme: str) -> list[Block]:
    """The blocks in order; the first has no commands and holds what is shown before them, the words of `make up`."""
    found = [Block("")]
    for language, text in FENCE.findall(readme):
        if language == "sh":
            found.append(Block(text))
        elif language in {"json", "text"}:
            found[-1].shown.append((language, text))
    return found


def as_pattern(shown: str) -> re.Pattern[str]:
    """A text in which `…` stands for anything."""
    return re.compile(".*".join(re.escape(part) for part in shown.split("…")), re.DOTALL)


def is_shown(shown: Any, real: Any) -> bool:
    """Whether what is shown is part of what is real: fields and items may be left out, none may differ."""
    if isinstance(shown, dict):
        return isinstance(real, dict) and all(
            name in real and is_shown(value, real[name]) for name, value in shown.items()
        )
    if isinstance(shown, list):
        return isinstance(real, list) and all(any(is_shown(item, one) for one in real) for item in shown)
    if isinstance(shown, str):
        return isinstance(real, str) and as_pattern(shown).fullmatch(real) is not None
    return bool(shown == real)


def documents(printed: str) -> Iterator[Any]:
    """The JSON documents in an output, whatever else is printed between them."""
    place = 0
    while (place := printed.find("{", place)) >= 0:
        value, place = json.JSONDecoder().raw_decode(printed, place)
        yield value


def missing(block: Block, printed: str) -> list[str]:
    """What the README shows for a block and what was not printed."""
    lines = printed.splitlines()
    absent = []
    for language, text in block.shown:
        if language == "json":
            there = any(is_shown(json.loads(text), document) for document in documents(printed))
            absent += [] if there else [text]
        else:
            patterns = {line: as_pattern(line) for line in text.splitlines()}
            absent += [line for line, one in patterns.items() if not any(map(one.fullmatch, lines))]
    return absent


async def run(script: str, folder: Path, environment: dict[str, str]) -> list[str]:
    """What each part of the script printed."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-eu", "-c", script),
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(120):
        out, _ = await process.communicate()
    printed = out.decode()
    assert process.returncode == 0, printed
    return printed.split(BETWEEN)


async def test_the_readme_can_be_followed_word_for_word(tmp_path: Path) -> None:
    intro, *steps = blocks(README.read_text("utf-8"))
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    async with installation(tmp_path / "data") as house:
        await house.up()
        greeting = "\n".join(house.printed).replace(house.url, "http://127.0.0.1:8080")
        key = re.search(r"col_agency_live_\w+", greeting)
        assert key is not None

        script = f"\necho '{BETWEEN}'\n".join(step.commands for step in steps)
        script = script.replace("http://127.0.0.1:8080", house.url).replace("col_agency_live_…", key[0])
        printed = await run(script, tmp_path, house.environment)

        assert len(steps) >= 12
        assert missing(intro, greeting) == []
        assert [missing(step, text) for step, text in zip(steps, printed, strict=True)] == [[]] * len(steps)


def test_what_differs_from_what_is_shown_is_noticed() -> None:
    block = Block("", [("json", '{"data": [{"id": "ws_…", "total": 1}]}'), ("text", "ws_…,generation,10,1")])

    assert missing(block, 'x {"data": [{"id": "ws_a", "total": 1, "more": 2}]}\nws_a,generation,10,1\n') == []
    assert len(missing(block, '{"data": [{"id": "ws_a", "total": 2}]}\nws_a,generation,11,1\n')) == 2
