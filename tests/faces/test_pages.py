"""The public pages in a real browser against a real server: nothing from elsewhere, nothing that the policy forbids."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Page, async_playwright

from colonnade import app
from colonnade.ground.core.reasons import REASONS
from colonnade.ground.db.address import Address
from colonnade.settings import Settings

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="NO BROWSER: install Debian's chromium to run the browser tests"),
]

WORDS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(slots=True)
class Looking:
    """A page that is looked at, and everything that went wrong or elsewhere meanwhile."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._note(request.url))

    def _note(self, url: str) -> None:
        if not url.startswith((self.base, "data:", "blob:")):
            self.elsewhere.append(url)

    def nothing_was_wrong(self) -> bool:
        return not self.complaints and not self.elsewhere


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest_asyncio.fixture
async def base(address: Address, settings: Settings) -> AsyncIterator[str]:
    """A real server's address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app.create(settings, address), log_config=None))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest_asyncio.fixture
async def looking(base: str) -> AsyncIterator[Looking]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=BROWSER, args=WORDS)
        page = await browser.new_page(viewport={"width": 1200, "height": 900})
        looking = Looking(page, base)
        looking.listen()
        yield looking
        await browser.close()


async def test_the_first_page_shows_the_first_steps_with_this_address(looking: Looking, tmp_path: Path) -> None:
    await looking.page.goto(f"{looking.base}/")
    await looking.page.screenshot(path=tmp_path / "welcome.png", full_page=True)

    shown = await looking.page.inner_text("main")
    assert f"{looking.base}/v1/workspaces/bulk-action" in shown
    assert looking.nothing_was_wrong(), (looking.complaints, looking.elsewhere)


async def test_the_api_is_rendered_offline_under_the_policy(looking: Looking, tmp_path: Path) -> None:
    await looking.page.goto(f"{looking.base}/docs")
    await looking.page.wait_for_selector(".opblock-summary-path", timeout=30_000)
    operations = await looking.page.locator(".opblock").count()
    await looking.page.locator(".opblock-summary-control").first.click()
    await looking.page.wait_for_selector(".responses-table")
    await looking.page.screenshot(path=tmp_path / "docs.png")

    assert operations > 40
    assert looking.nothing_was_wrong(), (looking.complaints, looking.elsewhere)


async def test_every_reason_has_its_page(looking: Looking) -> None:
    await looking.page.goto(f"{looking.base}/docs/errors")
    links = await looking.page.locator("td a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    await looking.page.goto(looking.base + links[0])

    assert links == [f"/docs/errors/{name}" for name in REASONS]
    assert "What to do" in await looking.page.inner_text("main")
    assert looking.nothing_was_wrong(), (looking.complaints, looking.elsewhere)


@pytest.mark.parametrize("path", ["/", "/docs/errors", "/docs/errors/keys.revoked"])
async def test_pages_fit_a_telephone(looking: Looking, path: str) -> None:
    await looking.page.set_viewport_size({"width": 360, "height": 740})
    await looking.page.goto(looking.base + path)

    widest = await looking.page.evaluate("document.documentElement.scrollWidth")
    assert widest <= 360
