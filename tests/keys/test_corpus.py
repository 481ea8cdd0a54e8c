"""Keys of every released version open today: texts and stored digests that were frozen when the version came out.

The texts lie in parts, so that no file holds a key. A new version adds its own; nothing of an old one is changed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from colonnade.ground.core.secrets import KEY_PATTERN, Pepper, is_key_text
from colonnade.ground.db.address import Address
from colonnade.ground.db.database import Database
from colonnade.settings import Settings, pepper_of
from colonnade.tenancy.keys import Draft, KeyRing
from tests.factories import an_agency
from tests.tenancy.keys_calls import mint

RELEASES: list[dict[str, Any]] = json.loads(Path(__file__).with_name("corpus.json").read_text())["releases"]


def cases() -> Iterator[Any]:
    for release in RELEASES:
        for number, key in enumerate(release["keys"]):
            case = f"{release['version']} {key['kind']} {key['mode']} {number}"
            yield pytest.param(release, "".join(key["text"]), bytes.fromhex(key["digest"]), id=case)


every_key = pytest.mark.parametrize(("release", "text", "digest"), [*cases()])


def pepper_then(release: dict[str, Any]) -> Pepper:
    """The pepper that today's settings make of that installation's secret."""
    return pepper_of(Settings(secret_key=SecretStr(release["secret"])))


@every_key
def test_a_text_of_that_version_is_a_key_by_its_shape_and_checksum(
    release: dict[str, Any], text: str, digest: bytes
) -> None:
    assert is_key_text(text)
    for place in range(len(text) - 1):
        swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
        assert swapped == text or not is_key_text(swapped)


@every_key
def test_its_stored_digest_is_what_todays_code_makes_of_it(release: dict[str, Any], text: str, digest: bytes) -> None:
    pepper = pepper_then(release)

    assert pepper.digest(text, release["pepperId"]) == digest
    assert digest in pepper.digests(text)


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release["version"])
async def test_a_digest_that_was_stored_then_opens_its_key_today(
    database: Database, address: Address, release: dict[str, Any]
) -> None:
    home = await an_agency(database)
    then = Database(address, "colonnade_app", pepper_then(release), most_connections=2)
    await then.open()
    ring = KeyRing(then)
    for key in release["keys"]:
        minted = await mint(database, home.caller, Draft(f"{key['kind']} {key['mode']}", preset="read_only"))
        async with database.transaction(home.reach) as tx:
            sql = """insert into api_key_secret (agency_id, workspace_id, key_id, digest, pepper_id, created_at)
                     values ($1, null, $2, $3, $4, now())"""
            await tx.execute(sql, tx.agency_id, minted.key.id, bytes.fromhex(key["digest"]), release["pepperId"])

        assert (await ring.verify("".join(key["text"]), None)).key.id == minted.key.id
    await then.close()


def test_the_published_pattern_is_that_of_the_first_version() -> None:
    assert KEY_PATTERN == r"col_(agency|ws)_(live|test)_[0-9A-Za-z]{38}"
