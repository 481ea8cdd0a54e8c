"""The whole document, fuzzed: whatever is sent, the answers are those that the document shows, and never a 500."""

import asyncio
import json
import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.hostile.fuzz_world import WORLD, Furnishing
from tests.journeys.installation import Installation, installation

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(1800)]

CASES = 5_000
CHOICE = [
    "--seed=20261121",
    "--phases=examples,coverage,fuzzing",
    "--max-examples=40",
    "--workers=1",  # more of them gain nothing in one interpreter, and trip over each other in its parser
    "--generation-database=none",
    "--generation-with-security-parameters=false",
    # What is well-formed is still refused where it names a skill that is none or a cursor that we never gave out.
    "--exclude-checks=positive_data_acceptance",
    "--request-timeout=70",
    "--continue-on-failure",
    "--warnings=off",
    "--no-color",
]


CONFIGURATION = """
[checks.negative_data_rejection]
# Beside the usual ones 412: whether a merge patch is good can only be told of the version that it is meant for.
expected-statuses = ["400", "401", "403", "404", "405", "409", "412", "413", "422", "429", "5xx"]
"""


async def _fuzz(url: str, key: str, folder: Path) -> str:
    """What the fuzzer says in the end."""
    environment = {
        **os.environ,
        WORLD: str(folder / "world.json"),
        "SCHEMATHESIS_HOOKS": "tests.hostile.fuzz_hooks",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    (folder / "schemathesis.toml").write_text(CONFIGURATION)
    words = ["run", f"{url}/openapi.json", "-H", f"X-Auth: {key}", *CHOICE]
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).parent / "schemathesis"), *words),
        env=environment,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    (folder / "said.txt").write_bytes(said)
    return said.decode()


async def _prepared(place: Installation, folder: Path) -> str:
    """A key without a limit for an agency with some of everything."""
    words = ("agency", "create", "--name", "Fuzzed", "--owner-email", "owner@fuzzed.example")
    code, out, err = await place.command(*words, "--credits", "100000", "--json")
    assert code == 0, err
    headers = {"X-Auth": json.loads(out)["apiKey"]}
    async with httpx2.AsyncClient(base_url=place.url, headers=headers, timeout=60) as client:
        furnishing = Furnishing(client)
        key = await furnishing.post("/v1/api-keys", {"name": "Fuzzer", "preset": "master", "rateLimit": None})
        (folder / "world.json").write_text(json.dumps(await furnishing.furnish()))
    text: str = key["key"]
    return text


def _noted(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "world.json.calls").read_text().splitlines()]


async def test_whatever_is_sent_the_answers_are_those_of_the_document(tmp_path: Path) -> None:
    async with installation(tmp_path / "data", trusted_proxies="1", log_level="error") as place:
        await place.up("--no-demo")
        key = await _prepared(place, tmp_path)
        said = await _fuzz(place.url, key, tmp_path)

    calls = _noted(tmp_path)
    assert "No issues found" in said, said[-20_000:]
    assert int(re.findall(r"(\d+) generated", said)[-1]) >= CASES
    assert [call for call in calls if call["status"] >= 500] == []
    assert [line for line in place.printed if '"requests.' in line] == []
    met = Counter(call["operation"] for call in calls if call["status"] < 300)
    assert len(met) > 50, f"too few operations were ever called with success: {met}"
