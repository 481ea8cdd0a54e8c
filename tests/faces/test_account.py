"""The pages for people in a real browser: from the link of an invitation to a second factor and out again."""

from pathlib import Path

import pyotp
import pytest
from playwright.async_api import Page

from colonnade.ground.db.database import Database
from colonnade.tenancy import people, sessions
from tests.faces.looking import Looking, in_a_browser
from tests.factories import an_agency
from tests.sessions.signing import OTHER, PASSWORD, a_human, code_of

pytestmark = in_a_browser


async def invited(database: Database, email: str) -> str:
    """The token of an invitation's link."""
    home = await an_agency(database, name="Harbour & Sons")
    async with database.transaction(home.reach) as tx:
        made = await people.invite(tx, home.caller, people.Draft(email, "manager"))
        mailed = await people.mint_invitation(tx, made.id)
    assert mailed is not None
    return mailed.token.reveal()


async def submit(page: Page, form: str, **fields: str) -> None:
    for name, value in fields.items():
        await page.fill(f'[data-form="{form}"] [name="{name}"]', value)
    await page.click(f'[data-form="{form}"] button')


def unexpected(looking: Looking) -> list[str]:
    """What the console says beyond the refusals that these stories ask for."""
    return [text for text in looking.complaints if "the server responded with a status of 4" not in text]


async def test_somebody_is_invited_and_sets_up_a_second_factor(
    looking: Looking, behind: Database, tmp_path: Path
) -> None:
    page, token = looking.page, await invited(behind, "mira@harbour.example")
    await page.goto(f"{looking.base}/accept-invitation#token={token}")
    await page.screenshot(path=tmp_path / "invited.png")
    assert "token" not in page.url

    await submit(page, "accept-invitation", name="Mira Holm", password="short")
    await page.wait_for_selector("#password[aria-invalid=true]")
    assert "12" in await page.inner_text("#password-error")

    await submit(page, "accept-invitation", password=PASSWORD)
    await page.wait_for_selector("[data-account]:not([hidden])")
    assert "Mira Holm, manager of Harbour & Sons" in await page.inner_text("[data-who]")

    await submit(page, "start-factor")
    await page.wait_for_selector("[data-picture][src^='data:image/svg']")
    totp = pyotp.TOTP(await page.inner_text("[data-secret]"))
    await page.screenshot(path=tmp_path / "factor.png", full_page=True)
    await submit(page, "confirm-factor", confirm=code_of(totp, -1))
    await page.wait_for_selector("[data-codes]:not([hidden])")
    codes = await page.locator("[data-code-rows] li").all_inner_texts()
    await page.screenshot(path=tmp_path / "codes.png", full_page=True)
    assert len(set(codes)) == 10

    await submit(page, "sign-out")
    await page.wait_for_url("**/sign-in")
    await submit(page, "sign-in", email="mira@harbour.example", password=PASSWORD)
    await page.wait_for_selector("#code", state="visible")
    await submit(page, "sign-in", code=codes[3])
    await page.wait_for_selector("[data-account]:not([hidden])")
    assert "9 recovery codes are left" in await page.inner_text("[data-factor]")
    assert (unexpected(looking), looking.elsewhere) == ([], [])


async def test_a_password_is_chosen_anew_by_a_link(looking: Looking, behind: Database, tmp_path: Path) -> None:
    page, home = looking.page, await an_agency(behind)
    human = await a_human(behind, home, "viewer")
    await page.goto(f"{looking.base}/reset-password")
    await submit(page, "ask-for-link", email=human.email)
    await page.wait_for_selector("[data-done]:not([hidden])")

    async with behind.transaction(home.reach) as tx:
        token = await sessions.mint_reset(tx, human.person_id)
    await page.goto(f"{looking.base}/sign-in")
    await page.goto(f"{looking.base}/reset-password#token={token.reveal()}")
    await submit(page, "choose-password", password=OTHER)
    await page.wait_for_selector("[data-done]:not([hidden])")
    await page.screenshot(path=tmp_path / "chosen.png")

    await page.goto(f"{looking.base}/sign-in")
    await submit(page, "sign-in", email=human.email, password=PASSWORD)
    await page.wait_for_selector("[data-alert]:not([hidden])")
    await submit(page, "sign-in", password=OTHER)
    await page.wait_for_selector("[data-account]:not([hidden])")
    assert (unexpected(looking), looking.elsewhere) == ([], [])


async def test_who_is_not_signed_in_is_led_to_the_door(looking: Looking) -> None:
    await looking.page.goto(f"{looking.base}/account")
    await looking.page.wait_for_url("**/sign-in")


@pytest.mark.parametrize("path", ["/sign-in", "/accept-invitation", "/reset-password"])
async def test_pages_for_people_fit_a_telephone(looking: Looking, path: str) -> None:
    await looking.page.set_viewport_size({"width": 360, "height": 740})
    await looking.page.goto(looking.base + path)

    assert await looking.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert (looking.complaints, looking.elsewhere) == ([], [])
