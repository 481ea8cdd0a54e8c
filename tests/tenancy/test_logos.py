"""The agency's logo: set, served to everybody, replaced, taken away."""

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from PIL import Image

from colonnade.ground.core.ids import new_id
from colonnade.ground.core.scopes import AGENCY_SCOPES
from colonnade.tenancy import audit
from tests.factories import Home, an_agency
from tests.house.installed import Installed, installed
from tests.serving import a_key

__all__ = ["installed"]

PLACE = "/v1/agency/logo"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><circle cx="5" cy="5" r="4"/></svg>'


def a_png(color: str = "red", size: tuple[int, int] = (64, 32)) -> bytes:
    written = BytesIO()
    Image.new("RGBA", size, color).save(written, "PNG")
    return written.getvalue()


@pytest_asyncio.fixture
async def home(installed: Installed) -> Home:
    return await an_agency(installed.database)


@pytest_asyncio.fixture
async def headers(installed: Installed, home: Home) -> dict[str, str]:
    return await a_key(installed.database, home)


async def sent(
    installed: Installed, headers: dict[str, str], content: bytes, name: str = "logo.png"
) -> httpx2.Response:
    return await installed.client.post(PLACE, files={"file": (name, content)}, headers=headers)


async def shown(installed: Installed, answer: httpx2.Response, **headers: str) -> httpx2.Response:
    """What everybody sees at the address that the answer tells."""
    url = answer.json()["branding"]["logoUrl"]
    assert url.startswith("http://colonnade.example/logos/")
    return await installed.client.get(url.removeprefix("http://colonnade.example"), headers=headers)


@pytest.mark.parametrize(
    ("content", "media_type"), [(a_png(), "image/png"), (SVG, "image/svg+xml")], ids=["png", "svg"]
)
async def test_a_logo_is_shown_to_everybody_under_an_address_that_never_changes(
    installed: Installed, headers: dict[str, str], content: bytes, media_type: str
) -> None:
    answer = await sent(installed, headers, content, "whatever.bin")

    assert answer.status_code == 201
    assert answer.headers["location"] == answer.json()["branding"]["logoUrl"]
    seen = await shown(installed, answer)
    assert (seen.status_code, seen.headers["content-type"]) == (200, media_type)
    assert seen.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert seen.headers["x-content-type-options"] == "nosniff"
    assert seen.headers["content-disposition"] == "inline"
    assert "default-src 'none'" in seen.headers["content-security-policy"]
    assert "sandbox" in seen.headers["content-security-policy"]
    same = await shown(installed, answer, **{"if-none-match": f'W/"x", {seen.headers["etag"]}'})
    assert (same.status_code, same.content) == (304, b"")


async def test_the_same_picture_again_changes_nothing_and_another_one_takes_its_place(
    installed: Installed, home: Home, headers: dict[str, str]
) -> None:
    first = await sent(installed, headers, a_png())
    again = await sent(installed, headers, a_png())
    second = await sent(installed, headers, a_png("blue"))

    assert again.headers["etag"] == first.headers["etag"] != second.headers["etag"]
    assert (await shown(installed, first)).status_code == 404
    assert (await shown(installed, second)).status_code == 200
    async with installed.database.transaction(home.reach) as tx:
        entries, _ = await audit.page(tx, home.caller, audit.Filters(event="agencies.updated"), limit=10)
    assert len(entries) == 2


@pytest.mark.parametrize("how", ["delete", "null", "another address"])
async def test_a_picture_that_the_branding_no_longer_names_is_gone(
    installed: Installed, headers: dict[str, str], how: str
) -> None:
    answer = await sent(installed, headers, a_png())
    patch: dict[str, Any] = {"branding": {"logoUrl": None if how == "null" else "https://cdn.example/logo.png"}}

    if how == "delete":
        assert (await installed.client.delete(PLACE, headers=headers)).status_code == 204
        assert (await installed.client.delete(PLACE, headers=headers)).status_code == 204
    else:
        assert (await installed.client.patch("/v1/agency", json=patch, headers=headers)).status_code == 200

    assert (await shown(installed, answer)).status_code == 404
    told = (await installed.client.get("/v1/agency", headers=headers)).json()["branding"]["logoUrl"]
    assert told == (patch["branding"]["logoUrl"] if how == "another address" else None)


async def test_other_changes_of_the_branding_leave_the_picture(installed: Installed, headers: dict[str, str]) -> None:
    answer = await sent(installed, headers, a_png())
    patch = {"branding": {"primaryColor": "#0a5c8a"}}
    assert (await installed.client.patch("/v1/agency", json=patch, headers=headers)).status_code == 200
    assert (await shown(installed, answer)).status_code == 200


async def test_an_address_that_is_not_to_the_letter_shows_nothing(
    installed: Installed, home: Home, headers: dict[str, str]
) -> None:
    url = (await sent(installed, headers, a_png())).json()["branding"]["logoUrl"]
    digest = url.rpartition("/")[2].removesuffix(".png")
    stranger = await an_agency(installed.database)
    for agency_id, name in [
        (stranger.agency_id, f"{digest}.png"),
        (new_id("agency"), f"{digest}.png"),
        ("agency_x", f"{digest}.png"),
        (home.agency_id, f"{digest}.svg"),
        (home.agency_id, digest),
        (home.agency_id, f"{digest.upper()}.png"),
        (home.agency_id, f"{'0' * 64}.png"),
        (home.agency_id, "%00.png"),
    ]:
        answer = await installed.client.get(f"/logos/{agency_id}/{name}")
        assert (answer.status_code, answer.json()["reason"]) == (404, "resource.not_found"), name


async def test_a_file_beyond_two_mebibytes_is_too_large_whatever_it_announces(
    installed: Installed, headers: dict[str, str]
) -> None:
    just = await sent(installed, headers, b"\x89PNG\r\n\x1a\n" + b"0" * (2 * 1024 * 1024 - 8))
    assert (just.status_code, just.json()["reason"]) == (400, "request.invalid")
    for much in (2 * 1024 * 1024 + 1, 5_000_000):
        answer = await sent(installed, headers, b"0" * much)
        assert (answer.status_code, answer.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")

    async def endless() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
        for _ in range(64):
            yield b"0" * 65_536

    kind = {"content-type": "multipart/form-data; boundary=b"}
    answer = await installed.client.post(PLACE, content=endless(), headers={**headers, **kind})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"json": {}}, "/file"),
        ({"content": a_png(), "headers": {"content-type": "image/png"}}, "/file"),
        ({"files": {"picture": ("a.png", a_png())}}, "/picture"),
        ({"files": {"file": (None, "no file but text")}}, "/file"),
        ({"files": {"file": ("a.png", a_png())}, "data": {"more": "x"}}, "/more"),
    ],
    ids=["json", "raw", "another field", "text", "more"],
)
async def test_a_body_that_is_no_form_with_one_file_is_told_what_is_wanted(
    installed: Installed, headers: dict[str, str], body: dict[str, Any], pointer: str
) -> None:
    sent_headers = {**headers, **body.pop("headers", {})}
    answer = await installed.client.post(PLACE, headers=sent_headers, **body)
    assert (answer.status_code, answer.json()["reason"]) == (400, "request.invalid"), answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("multipart/form-data", b"--b\r\n\r\n--b--"),
        ("multipart/form-data; boundary=", b"x"),
        ("multipart/form-data; boundary=b", b"garbage"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="file"; filename="'),
        ("multipart/form-data; boundary=b; charset=zip", b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n'),
        ("multipart/mixed; boundary=b", b"--b\r\nContent-Type: image/png\r\n\r\nx\r\n--b--"),
        ("multipart/", b""),
    ],
)  # fmt: skip
async def test_a_form_that_cannot_be_read_is_a_bad_request(
    installed: Installed, headers: dict[str, str], kind: str, content: bytes
) -> None:
    answer = await installed.client.post(PLACE, content=content, headers={**headers, "content-type": kind})
    assert answer.status_code == 400, answer.text


async def test_a_repeated_upload_is_answered_again_and_another_file_is_refused(
    installed: Installed, headers: dict[str, str]
) -> None:
    once = {**headers, "idempotency-key": "logo"}
    first, again = [await sent(installed, once, a_png()) for _ in range(2)]
    other = await sent(installed, once, a_png("blue"))

    assert again.headers["idempotent-replayed"] == "true"
    assert again.json() == first.json()
    assert (other.status_code, other.json()["reason"]) == (422, "request.idempotency_reused")


async def test_a_logo_needs_a_key_with_the_right_to_change_the_agency(installed: Installed, home: Home) -> None:
    reader = await a_key(installed.database, home, scopes=sorted(AGENCY_SCOPES - {"agency:write"}))
    for method in ("POST", "DELETE"):
        assert (await installed.client.request(method, PLACE, headers=reader)).status_code == 403
        assert (await installed.client.request(method, PLACE)).status_code in {401, 429}
