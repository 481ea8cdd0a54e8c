"""The command that proves isolation, whole: on an installation that runs, until nothing of what it made is good."""

import asyncio
import json
import re
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
import pytest_asyncio

from colonnade.ground.db import embedded
from tests.journeys.installation import COMMAND, Installation, installation

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]

GOOD_KEYS = """
select k.agency_id, k.name, k.expires_at - k.created_at as lasts from api_key k
where k.revoked_at is null and (k.expires_at is null or k.expires_at > now()) and k.name = any($1)
"""
GOOD_SESSIONS = "select id, expires_at - created_at as lasts from session where user_agent = 'verify-isolation'"
MADE = ["master", "management", "read only", "reporting", "links", "limited", "workspace", "test mode", "neighbour"]


@dataclass(frozen=True, slots=True)
class House:
    """The installation, and what it takes to look into it from the side."""

    made: Installation
    key: str

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        """What the owner of the database reads."""
        owner = await asyncpg.connect(**embedded.locate(self.made.data).arguments("postgres"))
        try:
            return list(await owner.fetch(query, *values))
        finally:
            await owner.close()

    async def good_keys(self) -> list[asyncpg.Record]:
        """Keys with a name that the command gives, which still open something."""
        return await self.fetch(GOOD_KEYS, MADE)

    async def told(self, path: str) -> Any:
        """What the API answers to the agency's key."""
        async with httpx2.AsyncClient(base_url=self.made.url, headers={"x-auth": self.key}, timeout=60) as client:
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text
            return answer.json()

    async def show_logo(self) -> None:
        """A logo for the agency."""
        drawn = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 1"><rect width="2" height="1"/></svg>'
        async with httpx2.AsyncClient(base_url=self.made.url, headers={"x-auth": self.key}, timeout=60) as client:
            answer = await client.post("/v1/agency/logo", files={"file": ("logo.svg", drawn)})
            assert answer.status_code == 201, answer.text

    async def lasting(self, workspace_id: str) -> dict[str, Any]:
        """What a workspace is told to be, but for what mere use changes."""
        told: dict[str, Any] = await self.told(f"/v1/workspaces/{workspace_id}?include=brand")
        return {name: part for name, part in told.items() if name not in {"lastActiveAt", "usage", "health"}}

    async def verify(self, folder: Path, *words: str) -> tuple[int, str, str]:
        """One walk."""
        return await self.made.command("verify-isolation", "--url", self.made.url, "--out", str(folder), *words)


@pytest_asyncio.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """An installation with its demo agency."""
    async with installation(tmp_path_factory.mktemp("verified") / "data") as made:
        await made.up()
        key = next(found[0] for line in made.printed if (found := re.search(r"col_agency_live_\w+", line)))
        yield House(made, key)


async def test_a_walk_finds_nothing_and_leaves_nothing_that_is_good(house: House, tmp_path: Path) -> None:
    code, out, err = await house.verify(tmp_path, "--json")

    assert code == 0, out + err
    told = json.loads(out)
    facts, page = Path(told["report"]), Path(told["page"])
    report = json.loads(facts.read_text("utf-8"))
    assert told["verdict"] == report["verdict"] == "separated"
    assert report["requests"] == told["requests"] == sum(one["requests"] for one in report["credentials"]) > 5000
    assert [one["name"] for one in report["credentials"] if not one["requests"]] == []
    assert [one["place"] for one in report["places"] if not one["requests"]] == ["write"]
    assert f"{report['requests']:,} requests" in page.read_text("utf-8")
    assert re.findall(r"col_[a-z]+_\w{20,}", facts.read_text("utf-8") + page.read_text("utf-8")) == []
    assert (await house.good_keys(), await house.fetch(GOOD_SESSIONS)) == ([], [])
    await report_can_be_checked(house, facts)


async def report_can_be_checked(house: House, facts: Path) -> None:
    """By the installation, by somebody who has its public key alone, and not once a byte is another one."""
    checked = await house.made.command("verify-isolation", "--check", str(facts), "--json")
    assert (checked[0], json.loads(checked[1])["verdict"]) == (0, "separated")

    public = (await house.told("/.well-known/colonnade/isolation-key.json"))["publicKey"]
    stranger = Installation(facts.parent / "a stranger's")
    elsewhere = ("verify-isolation", "--check", str(facts))
    assert (await stranger.command(*elsewhere, "--key", public))[0] == 0
    assert not stranger.data.joinpath("pg").exists()

    changed = facts.with_name("changed.json")
    changed.write_text(facts.read_text("utf-8").replace('"requests": ', '"requests": 1', 1), "utf-8")
    for words in ((), ("--key", public)):
        code, out, err = await house.made.command("verify-isolation", "--check", str(changed), *words)
        assert (code, out) == (1, ""), err
        assert "changed after it was signed" in " ".join(err.split())


async def test_a_walk_that_is_broken_off_ends_what_it_made(house: House, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "verify-isolation", "--url", house.made.url, "--out", str(tmp_path / "reports")),
        env=house.made.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    deadline = time.monotonic() + 300
    while len(await house.fetch(GOOD_SESSIONS)) < 3 * 5 or "neighbour" not in {
        row["name"] for row in await house.good_keys()
    }:
        assert process.returncode is None
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    lasts = [row["lasts"] for row in [*await house.fetch(GOOD_SESSIONS), *await house.good_keys()]]
    process.send_signal(signal.SIGTERM)  # which goes the way of Ctrl-C
    out, err = await process.communicate()

    assert process.returncode == 130, err.decode()
    assert "Traceback" not in (out + err).decode()
    assert max(lasts) < timedelta(hours=2, minutes=1)
    assert (await house.good_keys(), await house.fetch(GOOD_SESSIONS)) == ([], [])
    assert not tmp_path.joinpath("reports").exists()


async def test_two_workspaces_in_use_are_read_alone(house: House, tmp_path: Path) -> None:
    agency = await house.told("/v1/agency")
    await house.show_logo()
    ours = [one["id"] for one in (await house.told("/v1/workspaces"))["data"]][:2]
    before = [await house.lasting(one) for one in ours]
    written = "select count(*) from request_log where agency_id = $1 and method <> 'GET' and at > $2"
    records = "select distinct event from audit_entry where agency_id = $1 and at > $2"
    (start,) = await house.fetch("select now()")

    code, out, err = await house.verify(tmp_path, "--agency", agency["id"], "--between", *ours)

    assert code == 0, out + err
    (facts,), (page,) = tmp_path.glob("*.json"), tmp_path.glob("*.html")
    report = json.loads(facts.read_text("utf-8"))
    assert report["readsOnly"] is True
    assert report["agency"] == agency["name"]
    assert [one["id"] for one in report["between"]] == ours
    shown = page.read_text("utf-8")
    assert all(one["name"] in shown for one in report["between"])
    assert f"<p>{agency['name']}</p>" in shown
    assert '<img src="data:image/svg+xml;base64,' in shown
    assert {name.partition(" ")[0] for name in (one["operation"] for one in report["operations"])} == {"GET"}
    assert [await house.lasting(one) for one in ours] == before
    assert [row["count"] for row in await house.fetch(written, agency["id"], start["now"])] == [0]
    done = {row["event"] for row in await house.fetch(records, agency["id"], start["now"])}
    assert done == {"keys.minted", "keys.revoked"}
    names = "select count(*) from api_key where name like 'isolation: %' and revoked_at is null"
    assert [row["count"] for row in await house.fetch(names)] == [0]
